//! Cuts a body into lines as it arrives. A line over the limit is told and not held.

/// Bytes of a line; an event of an audit log is at most 1.5 MiB, which is etcd's limit for an object.
pub(super) const MAX_LINE: usize = 2 << 20;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Without its end; never blank.
    Line(Vec<u8>),
    TooLong,
}

#[derive(Default)]
pub(super) struct Lines {
    held: Vec<u8>,
    is_too_long: bool,
}

impl Lines {
    /// Takes the next bytes; appends the lines that end in them.
    pub(super) fn feed(&mut self, bytes: &[u8], cuts: &mut Vec<Cut>) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.is_too_long |= self.held.len() + part.len() > MAX_LINE;
            if self.is_too_long {
                self.held = Vec::new();
            } else {
                self.held.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                self.finish(cuts);
            }
        }
    }

    /// Takes the end of the input, which ends its last line.
    pub(super) fn finish(&mut self, cuts: &mut Vec<Cut>) {
        let held = std::mem::take(&mut self.held);
        if std::mem::take(&mut self.is_too_long) {
            cuts.push(Cut::TooLong);
        } else if !held.trim_ascii().is_empty() {
            cuts.push(Cut::Line(held));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(body: &[u8], piece: usize) -> Vec<Cut> {
        let (mut lines, mut cuts) = (Lines::default(), Vec::new());
        for piece in body.chunks(piece) {
            lines.feed(piece, &mut cuts);
            assert!(lines.held.len() <= MAX_LINE);
        }
        lines.finish(&mut cuts);
        cuts
    }

    #[test]
    fn lines_come_out_alike_however_the_body_is_cut() {
        let long = vec![b'x'; MAX_LINE + 1];
        let body = [b"one\n\n \r\ntwo\r\n".as_slice(), &long, b"\nlast"].concat();
        for piece in [7, 4096, body.len()] {
            let cuts = cut(&body, piece);
            let line = |text: &str| Cut::Line(text.into());
            assert_eq!(cuts, [line("one\n"), line("two\r\n"), Cut::TooLong, line("last")], "{piece}");
        }
    }
}
