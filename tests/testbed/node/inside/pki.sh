# Sourced: the cluster's authority and the certificates and kubeconfigs of it. EC P-256, 30 days.
pki=/etc/kubernetes/pki
server=https://10.200.0.1:6443

authority() {
  mkdir -p $pki
  chmod 700 $pki
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $pki/ca.key -out $pki/ca.crt -subj /CN=kubernetes -days 30 \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature 2>/dev/null
  openssl ecparam -genkey -name prime256v1 -noout -out $pki/sa.key 2>/dev/null
  openssl ec -in $pki/sa.key -pubout -out $pki/sa.pub 2>/dev/null
}

# certificate NAME SUBJECT [SUBJECT-ALTERNATIVE-NAMES]
certificate() {
  local extensions="keyUsage=critical,digitalSignature
extendedKeyUsage=clientAuth,serverAuth${3:+
subjectAltName=$3}"
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$pki/$1.key" -subj "$2" -out "$pki/$1.csr" 2>/dev/null
  openssl x509 -req -in "$pki/$1.csr" -CA $pki/ca.crt -CAkey $pki/ca.key -CAcreateserial -days 30 -extfile <(echo "$extensions") \
    -out "$pki/$1.crt" 2>/dev/null
  rm "$pki/$1.csr"
}

# kubeconfig CERTIFICATE
kubeconfig() {
  encoded() { base64 -w0 "$pki/$1"; }
  cat <<Y
apiVersion: v1
kind: Config
clusters: [{name: node, cluster: {server: "$server", certificate-authority-data: $(encoded ca.crt)}}]
users: [{name: me, user: {client-certificate-data: $(encoded "$1.crt"), client-key-data: $(encoded "$1.key")}}]
contexts: [{name: me, context: {cluster: node, user: me}}]
current-context: me
Y
}
