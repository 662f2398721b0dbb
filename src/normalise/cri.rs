//! Lines of a container's output as the runtime keeps them, and whose they are. In: `TIME stdout F TEXT` (Kubernetes CRI
//! logging, pkg/kubelet/kuberuntime/logs) and the path of the file. Out: time, text, and the pod and container that the
//! kubelet named the file after.

use super::stamp::{self, Stamp};
use crate::event::Place;

/// One line of a container.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Output<'a> {
    pub stamp: Stamp,
    pub stream: &'a str,
    /// More of the same line follows (tag `P`).
    pub partial: bool,
    pub text: &'a str,
}

/// Reads `2016-10-06T00:17:09.669794202Z stdout F text`.
pub fn output(line: &str) -> Option<Output<'_>> {
    let (time, rest) = line.split_once(' ')?;
    let (stream, rest) = rest.split_once(' ')?;
    let (tag, text) = rest.split_once(' ').unwrap_or((rest, ""));
    // Tags are joined by `:`; the first is the only one there is so far.
    let partial = match tag.split(':').next()? {
        "F" => false,
        "P" => true,
        _ => return None,
    };
    matches!(stream, "stdout" | "stderr").then_some(())?;
    Some(Output { stamp: stamp::rfc3339(time)?, stream, partial, text })
}

/// Pod and container of `/var/log/pods/NAMESPACE_POD_UID/CONTAINER/N.log` or
/// `/var/log/containers/POD_NAMESPACE_CONTAINER-ID.log`. None of the names can hold a `_`.
pub fn place(path: &str) -> Option<Place<'_>> {
    if let Some(rest) = path.strip_prefix("/var/log/pods/") {
        let mut parts = rest.split('/');
        let (pod, container) = (parts.next()?, parts.next()?);
        let mut names = pod.split('_');
        let (namespace, name, uid) = (names.next()?, names.next()?, names.next()?);
        let whole = names.next().is_none() && ![namespace, name, uid, container].contains(&"");
        return whole.then(|| Place {
            namespace: namespace.into(),
            pod_name: name.into(),
            pod_uid: uid.into(),
            container: container.into(),
            ..Place::default()
        });
    }
    let rest = path.strip_prefix("/var/log/containers/")?.strip_suffix(".log")?;
    let mut names = rest.split('_');
    let (name, namespace, last) = (names.next()?, names.next()?, names.next()?);
    let (container, id) = last.rsplit_once('-')?;
    let is_id = id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
    let whole = names.next().is_none() && is_id && ![namespace, name, container].contains(&"");
    whole.then(|| Place {
        namespace: namespace.into(),
        pod_name: name.into(),
        container: container.into(),
        ..Place::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_paths_of_containers_are_read() {
        let found = output("2016-10-06T00:17:09.669794202Z stdout F The content").unwrap();
        assert_eq!((found.stream, found.partial, found.text), ("stdout", false, "The content"));
        assert!(output("2016-10-06T00:17:09.669794202Z stderr P cut").unwrap().partial);
        assert_eq!(output("2016-10-06T00:17:09.669794202Z stdout F").unwrap().text, "");
        for wrong in ["", "x stdout F y", "2016-10-06T00:17:09Z stdin F y", "2016-10-06T00:17:09Z stdout X y"] {
            assert_eq!(output(wrong), None, "{wrong}");
        }
        let pod = place("/var/log/pods/shop_web-1_0f-1e/nginx/0.log").unwrap();
        assert_eq!(
            (&*pod.namespace, &*pod.pod_name, &*pod.pod_uid, &*pod.container),
            ("shop", "web-1", "0f-1e", "nginx")
        );
        let id = "0".repeat(64);
        let path = format!("/var/log/containers/web-1_shop_nginx-sidecar-{id}.log");
        let pod = place(&path).unwrap();
        assert_eq!(
            (&*pod.namespace, &*pod.pod_name, &*pod.pod_uid, &*pod.container),
            ("shop", "web-1", "", "nginx-sidecar")
        );
        for wrong in [
            "/var/log/auth.log",
            "/var/log/pods/a_b/c/0.log",
            "/var/log/pods/a_b_/c/0.log",
            "/var/log/containers/a_b_c.log",
        ] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
    }
}
