//! A Secret's life over the years, by the clock of the test; and what clients that trust one authority make of each state.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::ring,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

use super::{
    kept::{Contents, Kept, TlsError},
    plan::{MOST_CROSS, Rotate, Wish, advance, bundle, identity},
};

const DAY: i64 = 86_400;
const START: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn run(contents: &Contents, rotate: Option<Rotate>, second: i64) -> Contents {
    let names = names(&["kubewitness.kubewitness.svc", "10.96.0.60"]);
    advance(contents, &Wish { names: &names, rotate, overlap: DAY }, at(second)).unwrap()
}

fn fresh() -> Contents {
    run(&Contents::new(), None, START)
}

/// Whether a client that trusts `roots` takes what the server shows.
fn trusts(roots: &str, contents: &Contents, name: &str, second: i64) -> bool {
    let mut store = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(roots.as_bytes()) {
        store.add(root.unwrap()).unwrap();
    }
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build().unwrap();
    let shown = identity(contents);
    let chain: Vec<_> = CertificateDer::pem_slice_iter(shown.as_bytes()).map(Result::unwrap).collect();
    let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(second as u64));
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], time).is_ok()
}

fn changed(before: &Contents, after: &Contents) -> Vec<String> {
    let all: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    all.into_iter().filter(|key| before.get(*key) != after.get(*key)).cloned().collect()
}

#[test]
fn an_empty_secret_gets_an_authority_and_a_certificate_that_it_vouches_for() {
    let contents = fresh();
    assert_eq!(contents.keys().collect::<Vec<_>>(), ["ca.crt", "ca.key", "tls.crt", "tls.key"]);
    let kept = Kept::read(&contents).unwrap();
    let (ca, leaf) = (kept.ca.unwrap(), kept.leaf.unwrap());
    assert_eq!((ca.life.ends - START, leaf.life.ends - START), (3_653 * DAY, 90 * DAY));
    assert_eq!(leaf.names, ["10.96.0.60", "kubewitness.kubewitness.svc"]);
    for name in ["kubewitness.kubewitness.svc", "10.96.0.60"] {
        assert!(trusts(&bundle(&contents), &contents, name, START), "{name}");
    }
    assert!(!trusts(&bundle(&contents), &contents, "other.svc", START));
    assert!(!trusts(&bundle(&fresh()), &contents, "10.96.0.60", START), "another installation's authority");
    let empty = Contents::from([("tls.crt".into(), Vec::new()), ("ca.crt".into(), b" \n".to_vec())]);
    let filled = run(&empty, None, START);
    assert!(trusts(&bundle(&filled), &filled, "10.96.0.60", START), "keys without a value are none");
    assert_eq!(run(&contents, None, START + 59 * DAY), contents, "a second start changes nothing");
}

#[test]
fn the_leaf_is_renewed_when_due_asked_for_or_of_other_names() {
    let contents = fresh();
    let leaf = ["tls.crt", "tls.key"];
    assert_eq!(changed(&contents, &run(&contents, None, START + 61 * DAY)), leaf);
    assert_eq!(changed(&contents, &run(&contents, None, START + 91 * DAY)), leaf, "also one that is over");
    assert_eq!(changed(&contents, &run(&contents, Some(Rotate::Leaf), START + 1)), leaf);
    let other = names(&["10.96.0.61"]);
    let renamed = advance(&contents, &Wish { names: &other, rotate: None, overlap: DAY }, at(START)).unwrap();
    assert_eq!(changed(&contents, &renamed), leaf);
    assert!(trusts(&bundle(&contents), &renamed, "10.96.0.61", START));
    let reordered = names(&["10.96.0.60", "kubewitness.kubewitness.svc", "10.96.0.60"]);
    let same = advance(&contents, &Wish { names: &reordered, rotate: None, overlap: DAY }, at(START)).unwrap();
    assert_eq!(same, contents);
}

#[test]
fn a_new_authority_is_published_before_it_signs_and_the_old_one_after() {
    // Two thirds of ten years and the hour by which it is backdated.
    let due = START - 3_600 + (3_653 * DAY + 3_600) / 3 * 2;
    for (case, rotate, begin) in [("due", None, due), ("asked for", Some(Rotate::Ca), START + DAY)] {
        let old = run(&fresh(), None, begin - 1);
        let published = run(&old, rotate, begin);
        let without_leaf = |keys: Vec<String>| keys.into_iter().filter(|k| !k.starts_with("tls.")).collect::<Vec<_>>();
        assert_eq!(without_leaf(changed(&old, &published)), ["next-ca.crt", "next-ca.key"], "{case}");
        assert!(trusts(&bundle(&old), &published, "10.96.0.60", begin), "{case}: signed by the old one");
        assert_eq!(run(&published, None, begin + DAY - 1), published, "{case}: not before its time");

        let later = begin + DAY;
        let switched = run(&published, None, later);
        assert!(trusts(&bundle(&published), &switched, "10.96.0.60", later), "{case}: who read both");
        assert!(trusts(&bundle(&old), &switched, "10.96.0.60", later), "{case}: who knows the old one alone");
        let new = String::from_utf8(switched["ca.crt"].clone()).unwrap();
        assert!(trusts(&new, &switched, "10.96.0.60", later), "{case}: who knows the new one alone");
        assert!(bundle(&switched).contains(bundle(&old).trim()), "{case}: the old one is still published");
        assert!(!switched.contains_key("next-ca.key"));

        let after = run(&switched, None, later + DAY);
        assert_eq!(bundle(&after), new, "{case}: the new one alone");
        assert!(trusts(&bundle(&old), &after, "10.96.0.60", later + DAY), "{case}: who still knows the old one alone");
        assert_eq!(run(&after, None, later + 2 * DAY), after);
    }
}

#[test]
fn who_knows_an_authority_goes_on_until_its_end_however_often_it_was_followed() {
    let first = fresh();
    let mut contents = first.clone();
    let mut time = START;
    for round in 1..=5 {
        contents = run(&contents, Some(Rotate::Ca), time);
        time += DAY;
        contents = run(&contents, None, time);
        assert_eq!(trusts(&bundle(&first), &contents, "10.96.0.60", time), round <= 3, "round {round}");
    }
    assert!(identity(&contents).matches("BEGIN CERTIFICATE").count() <= 1 + MOST_CROSS);
}

#[test]
fn an_expired_authority_is_followed_at_once() {
    let over = START + 3_653 * DAY + 1;
    let contents = run(&fresh(), None, over);
    assert!(trusts(&bundle(&contents), &contents, "10.96.0.60", over));
    let pending = run(&fresh(), Some(Rotate::Ca), START + DAY);
    let contents = run(&pending, None, over);
    assert!(trusts(&bundle(&pending), &contents, "10.96.0.60", over), "by the one that was published already");
}

#[test]
fn a_request_for_an_authority_while_one_is_coming_makes_no_other() {
    let pending = run(&fresh(), Some(Rotate::Ca), START + DAY);
    assert_eq!(run(&pending, Some(Rotate::Ca), START + DAY + 1), pending);
}

#[test]
fn a_certificate_of_somebody_elses_making_is_left_alone() {
    let mut contents = fresh();
    contents.remove("ca.key");
    assert_eq!(run(&contents, Some(Rotate::Ca), START + 89 * DAY), contents);
    assert_eq!(bundle(&contents).as_bytes(), contents["ca.crt"]);
    contents.insert("tls.crt".into(), b"-----BEGIN".to_vec());
    assert!(matches!(Kept::read(&contents), Err(TlsError::Unreadable { key: "tls.crt", .. })));
}

#[test]
fn what_is_broken_is_mended_where_it_can_be_and_an_authority_is_never_overwritten() {
    let (good, other) = (fresh(), fresh());
    let with = |key: &str, value: &[u8]| {
        let mut contents = good.clone();
        contents.insert(key.to_owned(), value.to_vec());
        contents
    };
    let wish = Wish { names: &names(&["10.96.0.60"]), rotate: None, overlap: DAY };
    for (case, contents) in [
        ("no PEM", with("tls.crt", b"none")),
        ("no UTF-8", with("tls.key", &[0xff])),
        ("of another authority", with("tls.crt", &other["tls.crt"])),
        ("of another key", with("tls.key", &other["tls.key"])),
        ("half of it", with("tls.key", b"")),
    ] {
        let mended = run(&contents, None, START);
        assert!(trusts(&bundle(&good), &mended, "10.96.0.60", START), "{case}");
    }
    for (contents, message) in [
        (with("ca.crt", b"none"), "ca.crt: "),
        (with("ca.key", b"s3cret"), "ca.key: no private key in PEM"),
        (with("ca.crt", &other["ca.crt"]), "ca.key is not the key of ca.crt"),
        (with("ca.crt", b""), "ca.key without ca.crt"),
        (with("ca.crt", &good["tls.crt"]), "ca.key is not the key of ca.crt"),
        (with("next-ca.crt", &good["ca.crt"]), "next-ca.crt without next-ca.key"),
    ] {
        let error = advance(&contents, &wish, at(START)).unwrap_err().to_string();
        assert!(error.contains(message) && !error.contains("s3cret"), "{error}");
    }
}
