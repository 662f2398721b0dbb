//! Which names say that their value is a secret: object keys, flags, query parameters, environment variables. In: a name
//! as written. Out: yes or no. References to secrets (`secretName`, `tokenExpirationSeconds`) are no secrets.

/// A name that ends so, or so with an `s` or a number, names a secret.
const ENDINGS: [&str; 26] = [
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
    "keydata",
    "secretid",
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

/// What is written before `pass` without a mark between.
const BEFORE_PASS: [&str; 10] = ["db", "smtp", "user", "root", "redis", "require", "mail", "admin", "mysql", "pg"];

/// True for `pass` as a word of its own: `DB_PASS`, `smtpPass`, `requirepass`; not `bypass`, not `compass`.
fn is_pass(name: &str) -> bool {
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let Some((before, pass)) = name.len().checked_sub("pass".len()).and_then(|at| name.split_at_checked(at)) else {
        return false;
    };
    if !pass.eq_ignore_ascii_case("pass") {
        return false;
    }
    let lower = before.to_ascii_lowercase();
    match before.chars().next_back() {
        None => true,
        Some(last) if !last.is_ascii_alphanumeric() => true,
        Some(last) if !last.is_ascii_uppercase() && pass.starts_with('P') => !lower.ends_with("by"),
        Some(_) => BEFORE_PASS.iter().any(|b| lower.ends_with(b)),
    }
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
        || is_pass(name)
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
    let of_variables = ["vars", "var", "variables", "variable"].iter().any(|end| {
        plain.strip_suffix(end).is_some_and(|p| ["env", "envs", "environment"].iter().any(|e| p.ends_with(e)))
    });
    matches!(plain.as_str(), "env" | "envs" | "environment")
        || of_variables
        || plain.ends_with("extraenv")
        || plain.ends_with("extraenvs")
}

/// True for what holds the secret within an object that is named after it: `password: {value: x}`.
pub fn is_content(name: &str) -> bool {
    matches!(name, "value" | "plain" | "plaintext" | "default" | "content" | "data" | "inline")
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

/// Bytes of a text that looks like a key, at least.
pub const KEY_MATERIAL: usize = 32;

/// True for 32 characters or more of hexadecimal or base64 without a break.
pub fn is_key_material(text: &str) -> bool {
    text.len() >= KEY_MATERIAL
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'_' | b'-'))
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
