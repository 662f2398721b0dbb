//! What to make and what to renew. In: what the Secret holds, what is wanted, the time. Out: what it should hold.
//!
//! ```text
//! first start      ca, leaf
//! authority due    next-ca is made and published beside ca
//! an overlap later next-ca becomes ca, ca becomes previous-ca, the leaf is signed anew; cross-ca vouches for the new one
//! another later    previous-ca is no longer published
//! ```
//! Synchronous; knows no API server.

use jiff::Timestamp;

use super::{
    kept::{Authority, CA, CROSS_CA, Contents, Kept, LEAF, NEXT_CA, PREVIOUS_CA, Pair, TlsError, with_certificate},
    make::{self, Made},
};

/// Steps of one call at most: authority, switch, previous, leaf and one to see that nothing is left.
const MOST_STEPS: usize = 8;
/// Authorities before the present one whose clients are still served; ten years each.
pub const MOST_CROSS: usize = 3;

/// What somebody asks for before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotate {
    Leaf,
    Ca,
}

/// What the certificate should be.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// DNS names and addresses, these in canonical form.
    pub names: &'a [String],
    pub rotate: Option<Rotate>,
    /// Seconds between publishing a new authority and signing by it.
    pub overlap: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    NewCa,
    NextCa,
    SwitchCa,
    ForgetPrevious,
    NewLeaf,
}

/// The Secret's contents as they should be now; equal to `contents` where nothing is to be done.
pub fn advance(contents: &Contents, wish: &Wish<'_>, now: Timestamp) -> Result<Contents, TlsError> {
    let mut contents = contents.clone();
    let mut wish = *wish;
    for _ in 0..MOST_STEPS {
        let kept = Kept::read(&contents)?;
        let has_previous = contents.contains_key(PREVIOUS_CA);
        let Some(step) = decide(&kept, has_previous, &wish, now) else { break };
        match (step, wish.rotate) {
            (Step::NextCa, Some(Rotate::Ca)) | (Step::NewLeaf, Some(Rotate::Leaf)) => wish.rotate = None,
            _ => {}
        }
        take(&mut contents, &kept, step, &wish, now)?;
    }
    Ok(contents)
}

fn decide(kept: &Kept, has_previous: bool, wish: &Wish<'_>, now: Timestamp) -> Option<Step> {
    if kept.is_foreign {
        return None;
    }
    let Some(ca) = kept.ca.as_ref().filter(|ca| !ca.life.is_over(now)) else {
        return Some(if kept.next_ca.is_some() { Step::SwitchCa } else { Step::NewCa });
    };
    let passed = |since: i64, overlaps: i64| now.as_second() >= since.saturating_add(wish.overlap * overlaps);
    match &kept.next_ca {
        Some(next) if passed(next.life.made_at(), 1) => return Some(Step::SwitchCa),
        Some(_) => {}
        None if wish.rotate == Some(Rotate::Ca) || ca.life.is_due(now) => return Some(Step::NextCa),
        None => {}
    }
    if has_previous && passed(ca.life.made_at(), 2) {
        return Some(Step::ForgetPrevious);
    }
    let mut names = wish.names.to_vec();
    names.sort();
    names.dedup();
    let is_good = kept.leaf.as_ref().is_some_and(|leaf| {
        leaf.is_signed_by_ca && leaf.names == names && !leaf.life.is_due(now) && wish.rotate != Some(Rotate::Leaf)
    });
    (!is_good).then_some(Step::NewLeaf)
}

fn put(contents: &mut Contents, at: Pair, made: Made) {
    contents.insert(at.certificate.to_owned(), made.certificate.into_bytes());
    contents.insert(at.key.to_owned(), made.key.into_bytes());
}

fn take(contents: &mut Contents, kept: &Kept, step: Step, wish: &Wish<'_>, now: Timestamp) -> Result<(), TlsError> {
    match (step, &kept.ca, &kept.next_ca) {
        (Step::NewCa, _, _) => put(contents, CA, make::authority(now)?),
        (Step::NextCa, _, _) => put(contents, NEXT_CA, make::authority(now)?),
        (Step::ForgetPrevious, _, _) => drop(contents.remove(PREVIOUS_CA)),
        (Step::SwitchCa, old, Some(next)) => switch(contents, old.as_ref(), next, now)?,
        (Step::NewLeaf, Some(ca), _) => put(contents, LEAF, make::leaf(ca, wish.names, now)?),
        (Step::SwitchCa, _, None) | (Step::NewLeaf, None, _) => {} // `decide` names neither
    }
    Ok(())
}

fn switch(contents: &mut Contents, old: Option<&Authority>, next: &Authority, now: Timestamp) -> Result<(), TlsError> {
    let earlier = contents.remove(CROSS_CA).unwrap_or_default();
    if let Some(old) = old.filter(|old| !old.life.is_over(now)) {
        contents.insert(CROSS_CA.to_owned(), crossed(make::cross(next, old)?, &earlier, now).into_bytes());
        contents.insert(PREVIOUS_CA.to_owned(), old.pem.clone().into_bytes());
    }
    for (from, to) in [(NEXT_CA.certificate, CA.certificate), (NEXT_CA.key, CA.key)] {
        if let Some(bytes) = contents.remove(from) {
            contents.insert(to.to_owned(), bytes);
        }
    }
    Ok(())
}

/// The new link before the earlier ones, as far as those still lead to an authority that is good.
fn crossed(newest: String, earlier: &[u8], now: Timestamp) -> String {
    const END: &str = "-----END CERTIFICATE-----";
    let earlier = String::from_utf8_lossy(earlier);
    let is_good = |pem: &&str| {
        with_certificate(CROSS_CA, pem, |c| c.validity().not_after.timestamp() > now.as_second()).unwrap_or(false)
    };
    let chain = earlier.split_inclusive(END).take_while(is_good).take(MOST_CROSS - 1);
    let mut all = newest;
    for pem in chain {
        all.push_str(pem.trim_start());
        all.push('\n');
    }
    all
}

/// What clients should trust, PEM; empty where a foreign Secret names no authority.
pub fn bundle(contents: &Contents) -> String {
    let parts = [CA.certificate, NEXT_CA.certificate, PREVIOUS_CA].into_iter().filter_map(|key| contents.get(key));
    joined(parts)
}

/// What the server shows: its certificate, what leads to older authorities, and its key, in one PEM.
pub fn identity(contents: &Contents) -> String {
    let parts = [LEAF.certificate, CROSS_CA, LEAF.key].into_iter().filter_map(|key| contents.get(key));
    joined(parts)
}

fn joined<'c>(parts: impl Iterator<Item = &'c Vec<u8>>) -> String {
    let mut all = String::new();
    for part in parts {
        all.push_str(String::from_utf8_lossy(part).trim());
        all.push('\n');
    }
    if all.trim().is_empty() { String::new() } else { all }
}
