//! Bytes of a request body, decoded, in small pieces.
//! In: what the connection delivers, gzip or not. Out: plain bytes, at most as many as allowed. A body that unpacks
//! to much more than was sent never exists in memory: it is refused while it unpacks.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use http::{HeaderMap, header};

use super::answer::Answer;

/// Pieces of compressed input: deflate makes at most 1,032 bytes of one, so at most about 520 KiB of each.
const GZIP_PIECE: usize = 512;
/// Audit events compress 10 to 40 times; only a bomb reaches this.
const HIGHEST_RATIO: u64 = 250;
/// Below this a high ratio does no harm, and small bodies may reach one.
const RATIO_FROM: u64 = 8 << 20;

/// What a body is, by its content type; one without a content type is what its path is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Json,
    /// JSON values, one a line.
    JsonLines,
}

impl Content {
    fn is(self, content_type: &[u8]) -> bool {
        let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
        let known: &[&str] = match self {
            Content::Json => &["application/json"],
            Content::JsonLines => {
                &["application/jsonl", "application/x-ndjson", "application/json", "application/octet-stream"]
            }
        };
        known.iter().any(|known| essence.trim_ascii().eq_ignore_ascii_case(known.as_bytes()))
    }
}

/// Undoes the content encoding and counts.
pub(super) struct Decoder {
    gzip: Option<Box<MultiGzDecoder<Vec<u8>>>>,
    limit: u64,
    sent: u64,
    decoded: u64,
}

impl Decoder {
    /// Reads the headers: what the body is, and whether it may be that large. Nothing of it is read before.
    pub(super) fn of(headers: &HeaderMap, limit: u64, content: Content) -> Result<Decoder, Answer> {
        if !headers.get(header::CONTENT_TYPE).is_none_or(|value| content.is(value.as_bytes())) {
            return Err(Answer::ContentType);
        }
        let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
        let gzip = match (encodings.next().map(|value| value.as_bytes()), encodings.next()) {
            (None, _) => false,
            (Some(one), None) if one.eq_ignore_ascii_case(b"identity") => false,
            (Some(one), None) if one.eq_ignore_ascii_case(b"gzip") => true,
            (Some(_), _) => return Err(Answer::ContentEncoding),
        };
        let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > limit) {
            return Err(Answer::TooLarge);
        }
        let gzip = gzip.then(|| Box::new(MultiGzDecoder::new(Vec::new())));
        Ok(Decoder { gzip, limit, sent: 0, decoded: 0 })
    }

    /// How much of the body to give to [`decode`](Decoder::decode) at once.
    pub(super) fn piece(&self) -> usize {
        if self.gzip.is_some() { GZIP_PIECE } else { 16 << 10 }
    }

    /// Takes the next piece of the body. Returns what it decodes to, or what an earlier one did: at most 32 KiB are
    /// still to come when it returns. They may lie in `plain`.
    pub(super) fn decode<'a>(&mut self, piece: &'a [u8], plain: &'a mut Vec<u8>) -> Result<&'a [u8], Answer> {
        self.sent += piece.len() as u64;
        let decoded = match &mut self.gzip {
            None => piece,
            Some(gzip) => {
                gzip.write_all(piece).map_err(|_| Answer::BadGzip)?;
                drain(gzip, plain)
            }
        };
        self.count(decoded.len())?;
        Ok(decoded)
    }

    /// Takes the end of the body, wherever it came. Returns the rest of what can be decoded, and whether that is all.
    pub(super) fn finish<'a>(&mut self, plain: &'a mut Vec<u8>) -> (&'a [u8], Result<(), Answer>) {
        let (rest, end): (&[u8], _) = match &mut self.gzip {
            None => (&[], Ok(())),
            Some(gzip) => {
                let end = gzip.try_finish().map_err(|_: io::Error| Answer::BadGzip);
                (drain(gzip, plain), end)
            }
        };
        let counted = self.count(rest.len());
        (rest, end.and(counted))
    }

    fn count(&mut self, decoded: usize) -> Result<(), Answer> {
        self.decoded += decoded as u64;
        if self.decoded > self.limit {
            return Err(Answer::TooLarge);
        }
        if self.decoded > RATIO_FROM && self.decoded / self.sent.max(1) > HIGHEST_RATIO {
            return Err(Answer::Bomb);
        }
        Ok(())
    }
}

fn drain<'a>(gzip: &mut MultiGzDecoder<Vec<u8>>, plain: &'a mut Vec<u8>) -> &'a [u8] {
    plain.clear();
    plain.append(gzip.get_mut());
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use http::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (http::HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn headers_say_what_is_taken() {
        for (pairs, refusal) in [
            (&[][..], None),
            (&[("content-type", "application/json")], None),
            (&[("content-type", "Application/JSON; charset=utf-8"), ("content-encoding", "GZIP")], None),
            (&[("content-type", "application/yaml")], Some(Answer::ContentType)),
            (&[("content-encoding", "br")], Some(Answer::ContentEncoding)),
            (&[("content-encoding", "gzip, gzip")], Some(Answer::ContentEncoding)),
            (&[("content-length", "100")], None),
            (&[("content-length", "101")], Some(Answer::TooLarge)),
        ] {
            assert_eq!(Decoder::of(&headers(pairs), 100, Content::Json).err(), refusal, "{pairs:?}");
        }
    }

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn decode_all(body: &[u8], limit: u64) -> (usize, usize, Result<(), Answer>) {
        let mut decoder = Decoder::of(&headers(&[("content-encoding", "gzip")]), limit, Content::Json).unwrap();
        let (mut plain, mut total, mut largest) = (Vec::new(), 0, 0);
        for piece in body.chunks(decoder.piece()) {
            match decoder.decode(piece, &mut plain) {
                Ok(decoded) => total += decoded.len(),
                Err(answer) => return (total, largest, Err(answer)),
            }
            largest = largest.max(plain.capacity());
        }
        let (rest, end) = decoder.finish(&mut plain);
        (total + rest.len(), largest, end)
    }

    #[test]
    fn gzip_is_unpacked_within_bounds() {
        let zeros = vec![b' '; 32 << 20];
        let text = b"{}\n".repeat(1000);
        let cut = gzip(&text).len() - 9;
        for (case, body, limit, expected) in [
            ("text", gzip(&text), 1 << 20, Ok(3000)),
            ("two members", [gzip(&text), gzip(&text)].concat(), 1 << 20, Ok(6000)),
            ("bomb by ratio", gzip(&zeros), 128 << 20, Err(Answer::Bomb)),
            ("too large", gzip(&zeros), 1 << 20, Err(Answer::TooLarge)),
            ("cut", gzip(&text)[..cut].to_vec(), 1 << 20, Err(Answer::BadGzip)),
            ("no gzip", text.clone(), 1 << 20, Err(Answer::BadGzip)),
        ] {
            let (total, largest, end) = decode_all(&body, limit);
            assert_eq!(end.map(|()| total), expected, "{case}");
            assert!(largest <= 2 << 20, "{case}: {largest} bytes at once");
        }
    }
}
