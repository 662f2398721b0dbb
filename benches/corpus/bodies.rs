//! Objects as they stand in requests and answers: their sizes and shapes are those of a cluster at work, their names drawn at random.

use super::{Rng, hex, uid, word};

pub(super) fn metadata(rng: &mut Rng, name: &str, namespace: &str) -> String {
    format!(
        r#"{{"name":"{name}","namespace":"{namespace}","uid":"{}","resourceVersion":"{}","creationTimestamp":"2025-11-03T09:12:44Z","labels":{{"app.kubernetes.io/name":"{}","app.kubernetes.io/instance":"{}","pod-template-hash":"{}"}},"managedFields":[{{"manager":"applier","operation":"Update","apiVersion":"v1","time":"2025-11-03T09:12:44Z","fieldsType":"FieldsV1","fieldsV1":{{"f:metadata":{{"f:labels":{{".":{{}},"f:app.kubernetes.io/name":{{}},"f:pod-template-hash":{{}}}}}},"f:spec":{{"f:containers":{{"k:{{\"name\":\"main\"}}":{{".":{{}},"f:image":{{}},"f:name":{{}},"f:resources":{{}}}}}}}}}}}},{{"manager":"controller","operation":"Update","apiVersion":"v1","time":"2025-12-30T21:40:08Z","fieldsType":"FieldsV1","fieldsV1":{{"f:metadata":{{"f:annotations":{{".":{{}},"f:checked-at":{{}}}},"f:ownerReferences":{{}}}},"f:spec":{{"f:renewTime":{{}},"f:holderIdentity":{{}}}},"f:status":{{"f:conditions":{{".":{{}},"k:{{\"type\":\"Ready\"}}":{{}}}},"f:observedGeneration":{{}}}}}},"subresource":"status"}}]}}"#,
        uid(rng),
        rng.u32(1..),
        word(rng),
        word(rng),
        hex(rng, 10)
    )
}

pub(super) fn pod_spec(rng: &mut Rng) -> String {
    let mut containers = Vec::new();
    for n in 0..rng.usize(2..5) {
        let image = format!("registry.corp.test/{}/{}:{}.{}", word(rng), word(rng), rng.u8(..9), rng.u8(..40));
        containers.push(format!(
            r#"{{"name":"c{n}","image":"{image}","args":["--listen=:8080","--log-level=info","--config=/etc/{0}/config.yaml"],"ports":[{{"name":"http","containerPort":8080,"protocol":"TCP"}}],"env":[{{"name":"POD_IP","valueFrom":{{"fieldRef":{{"apiVersion":"v1","fieldPath":"status.podIP"}}}}}},{{"name":"REGION","value":"{0}"}},{{"name":"DB_PASSWORD","valueFrom":{{"secretKeyRef":{{"name":"{0}-db","key":"password"}}}}}}],"resources":{{"limits":{{"cpu":"1","memory":"512Mi"}},"requests":{{"cpu":"100m","memory":"128Mi"}}}},"volumeMounts":[{{"name":"config","mountPath":"/etc/{0}"}}],"livenessProbe":{{"httpGet":{{"path":"/livez","port":"http","scheme":"HTTP"}},"timeoutSeconds":1,"periodSeconds":10}},"terminationMessagePath":"/dev/termination-log","imagePullPolicy":"IfNotPresent","securityContext":{{"capabilities":{{"drop":["ALL"]}},"runAsNonRoot":true,"allowPrivilegeEscalation":false}}}}"#,
            word(rng)
        ));
    }
    format!(
        r#"{{"volumes":[{{"name":"config","configMap":{{"name":"{}","defaultMode":420}}}}],"containers":[{}],"restartPolicy":"Always","terminationGracePeriodSeconds":30,"dnsPolicy":"ClusterFirst","serviceAccountName":"{}","securityContext":{{}},"schedulerName":"default-scheduler"}}"#,
        word(rng),
        containers.join(","),
        word(rng)
    )
}

pub(super) fn pod(rng: &mut Rng, name: &str, namespace: &str, with_status: bool) -> String {
    let status = if with_status {
        r#"{"phase":"Running","conditions":[{"type":"Initialized","status":"True","lastProbeTime":null,"lastTransitionTime":"2025-11-03T09:12:44Z"},{"type":"Ready","status":"True","lastProbeTime":null,"lastTransitionTime":"2025-11-03T09:12:49Z"}],"hostIP":"10.2.0.7","podIP":"10.4.11.9","qosClass":"Burstable"}"#
    } else {
        "{}"
    };
    format!(
        r#"{{"kind":"Pod","apiVersion":"v1","metadata":{},"spec":{},"status":{status}}}"#,
        metadata(rng, name, namespace),
        pod_spec(rng)
    )
}

pub(super) fn deployment(rng: &mut Rng, name: &str, namespace: &str) -> String {
    format!(
        r#"{{"kind":"Deployment","apiVersion":"apps/v1","metadata":{},"spec":{{"replicas":{},"selector":{{"matchLabels":{{"app.kubernetes.io/name":"{name}"}}}},"template":{{"metadata":{{"creationTimestamp":null,"labels":{{"app.kubernetes.io/name":"{name}"}}}},"spec":{}}},"strategy":{{"type":"RollingUpdate","rollingUpdate":{{"maxUnavailable":"25%","maxSurge":"25%"}}}},"revisionHistoryLimit":10,"progressDeadlineSeconds":600}},"status":{{}}}}"#,
        metadata(rng, name, namespace),
        rng.u8(1..9),
        pod_spec(rng)
    )
}

pub(super) fn config_map(rng: &mut Rng, name: &str, namespace: &str) -> String {
    let lines: String = (0..rng.usize(20..90)).map(|n| format!("{}.{n}: {}\\n", word(rng), hex(rng, 12))).collect();
    format!(
        r#"{{"kind":"ConfigMap","apiVersion":"v1","metadata":{},"data":{{"config.yaml":"{lines}"}}}}"#,
        metadata(rng, name, namespace)
    )
}

pub(super) fn secret(rng: &mut Rng, name: &str, namespace: &str) -> String {
    format!(
        r#"{{"kind":"Secret","apiVersion":"v1","metadata":{},"data":{{"tls.key":"{}","tls.crt":"{}"}},"type":"Opaque"}}"#,
        metadata(rng, name, namespace),
        hex(rng, 800),
        hex(rng, 600)
    )
}

pub(super) fn role_binding(rng: &mut Rng, name: &str, namespace: &str) -> String {
    format!(
        r#"{{"kind":"RoleBinding","apiVersion":"rbac.authorization.k8s.io/v1","metadata":{},"subjects":[{{"kind":"ServiceAccount","name":"{}","namespace":"{namespace}"}}],"roleRef":{{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"{}"}}}}"#,
        metadata(rng, name, namespace),
        word(rng),
        word(rng)
    )
}

/// A node reports its images with each status, 50 at most.
pub(super) fn node_object(rng: &mut Rng, name: &str) -> String {
    let mut images = Vec::new();
    for _ in 0..rng.usize(35..51) {
        let (team, app, digest) = (word(rng), word(rng), hex(rng, 64));
        images.push(format!(
            r#"{{"names":["registry.corp.test/{team}/{app}@sha256:{digest}","registry.corp.test/{team}/{app}:{}"],"sizeBytes":{}}}"#,
            rng.u8(..40),
            rng.u32(1 << 20..1 << 28)
        ));
    }
    format!(
        r#"{{"kind":"Node","apiVersion":"v1","metadata":{},"spec":{{"podCIDR":"10.4.11.0/24"}},"status":{{"capacity":{{"cpu":"16","memory":"65536Mi","pods":"110"}},"conditions":[{{"type":"Ready","status":"True"}}],"images":[{}]}}}}"#,
        metadata(rng, name, ""),
        images.join(",")
    )
}

pub(super) fn event_object(rng: &mut Rng, name: &str, namespace: &str) -> String {
    format!(
        r#"{{"kind":"Event","apiVersion":"v1","metadata":{{"name":"{name}.{}","namespace":"{namespace}","creationTimestamp":null}},"involvedObject":{{"kind":"Pod","namespace":"{namespace}","name":"{name}","uid":"{}","apiVersion":"v1"}},"reason":"Pulled","message":"Container image already present on machine","source":{{"component":"kubelet"}},"type":"Normal"}}"#,
        hex(rng, 16),
        uid(rng)
    )
}
