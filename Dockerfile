# The image of kubewitness: the binary, libc, CA certificates; no shell, no package manager, user 65532.
#
#   docker build -t kubewitness .       or: podman build, buildah bud
#
# `make image` packs the same image without a container engine or a registry; image/base.sh lays out the root file system of both.
FROM docker.io/library/rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked --bin kubewitness
RUN image/base.sh /root-fs /debs && strip --strip-debug -o /kubewitness target/release/kubewitness && chmod 755 /kubewitness

FROM scratch
# docker build --build-arg VERSION=0.1.0 --build-arg REVISION=$(git rev-parse HEAD) .
ARG VERSION=latest
ARG REVISION=""
COPY --from=build /root-fs/ /
COPY --from=build /kubewitness /kubewitness
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
WORKDIR /
LABEL org.opencontainers.image.title="kubewitness" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://kubewitness.io"
ENTRYPOINT ["/kubewitness"]
