//! Which names say that their value is a secret: object keys, flags, query parameters, environment variables. In: a name
//! as written. Out: yes or no. References to secrets (`secretName`, `tokenExpirationSeconds`) are no secrets.

/// A name that ends so, or so with an `s` or a number, names a secret.
const ENDINGS: [&str; 24] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "authorization",
    "credential",
    "privatekey",
    "accesskey",
    "accesskeyid",
    "secretkey",
    "clientkey",
    "clientkeydata",
    "authkey",
    "signingkey",
    "encryptionkey",
    "sessionkey",
    "connectionstring",
    "cookie",
    "webhookurl",
    "dockerconfigjson",
    "dockercfg",
];

/// A name that holds one of these anywhere names a secret, unless it ends as a reference does.
const PARTS: [&str; 3] = ["password", "passwd", "passphrase"];

/// What a reference ends with.
const REFERENCES: [&str; 18] = [
    "name", "names", "ref", "refs", "file", "path", "policy", "length", "url", "uri", "key", "keys", "id", "type",
    "kind", "enabled", "seconds", "days",
];

/// Names of secrets' names, although they end as a secret does.
const NAMES_OF_SECRETS: [&str; 4] = ["existingsecret", "pullsecret", "tlssecret", "fromsecret"];

/// Lower-case letters and digits only, so that `API_KEY`, `api-key` and `apiKey` are one.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// True when `name` says that its value is a secret.
pub fn is_secret(name: &str) -> bool {
    let plain = plain(name);
    let mut stem = plain.trim_end_matches(|c: char| c.is_ascii_digit());
    for suffix in ["base64", "b64", "value", "s"] {
        stem = stem.strip_suffix(suffix).unwrap_or(stem);
    }
    if NAMES_OF_SECRETS.iter().any(|n| stem.ends_with(n)) {
        return false;
    }
    // The entry of a registry in a Docker configuration: base64 of user and password.
    plain == "auth"
        || ENDINGS.iter().any(|e| stem.ends_with(e) || plain.ends_with(e))
        || (is_password(&plain) && !REFERENCES.iter().any(|r| plain.ends_with(r)))
}

/// True for names of passwords, whose value is a secret even when it is a number.
pub fn is_password(name: &str) -> bool {
    let plain = plain(name);
    PARTS.iter().any(|part| plain.contains(part))
}

/// True for names of keys, whose value is a secret when it looks like key material.
pub fn is_key(name: &str) -> bool {
    let plain = plain(name);
    plain.ends_with("key") || plain.ends_with("hash") || plain.ends_with("hmac") || plain.ends_with("salt")
}

/// True for `env` and what charts and custom resources call the same: `extraEnv`, `envVars`, `environment`.
pub fn is_environment(name: &str) -> bool {
    let plain = plain(name);
    matches!(plain.as_str(), "env" | "envs" | "envvars" | "environment" | "environmentvariables")
        || plain.ends_with("extraenv")
        || plain.ends_with("extraenvs")
        || plain.ends_with("extraenvvars")
}

/// True when a URL query parameter carries a secret.
pub fn is_secret_parameter(name: &str) -> bool {
    is_secret(name)
        || matches!(
            plain(name).as_str(),
            "sig" | "signature" | "xamzsignature" | "xamzcredential" | "auth" | "code" | "jwt"
        )
        || plain(name).ends_with("signature")
}

/// True for 32 characters or more of hexadecimal or base64 without a break.
pub fn is_key_material(text: &str) -> bool {
    text.len() >= 32 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_told_from_references_to_them() {
        for name in [
            "password",
            "DB_PASSWORD",
            "rootPasswordPlain",
            "passwd",
            "secret",
            "clientSecret",
            "token",
            "access_token",
            "api_key",
            "api-key",
            "apiKey",
            "Authorization",
            "credentials",
            "privateKey",
            "AWS_SECRET_ACCESS_KEY",
            "accessKey",
            "vault.hashicorp.com/token",
            "tokens",
            "password2",
            "PASSWORD_BASE64",
            "client-key-data",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "secretName",
            "secretRef",
            "secretKeyRef",
            "tokenExpirationSeconds",
            "imagePullSecret",
            "existingSecret",
            "existingSecretPasswordKey",
            "passwordFile",
            "name",
            "key",
            "image",
            "privileged",
            "hostPath",
            "credential-id",
            "provisioner-secret-name",
            "tokenReviews",
            "roleRef",
            "serviceAccountName",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
