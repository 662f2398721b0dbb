//! Cuts the bytes of a file into lines. In: bytes from where the last cut ended. Out: complete lines, and how far they
//! reach. A line is complete at its newline; what follows the last one waits, so the same bytes are cut alike however
//! they are read. Pure.

/// Bytes that were never written read as NUL (a crash before the data reached the disk, a hole left by a truncation). So
/// many in a row end a line; fewer are part of it, so that nobody who gets a NUL into a log can begin a line of their own.
const HOLE: usize = 64;

/// One part of what was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A line without its end; `at` is where it begins in the bytes.
    Line { at: usize, bytes: &'a [u8] },
    /// The first bytes of a line over the limit, one more than the limit.
    Oversized { at: usize, bytes: &'a [u8] },
    /// Bytes of an oversized line after those.
    Skipped(usize),
    /// NUL bytes between lines.
    Nul(usize),
}

/// How far a cut came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are done with.
    pub consumed: usize,
    /// The next byte belongs to an oversized line, whose rest is skipped.
    pub skipping: bool,
}

/// What becomes of bytes without a newline at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// They wait for more.
    Waits,
    /// Nothing will follow: they are the last line.
    Ends,
}

/// Cuts `bytes`; `limit` is the most that a line may have. Stops after a piece for which `each` returns false.
pub fn cut<'a>(
    bytes: &'a [u8],
    skipping: bool,
    limit: usize,
    tail: Tail,
    each: &mut impl FnMut(Piece<'a>) -> bool,
) -> Progress {
    let mut progress = Progress { consumed: 0, skipping };
    let mut goes_on = true;
    while goes_on {
        let rest = bytes.get(progress.consumed..).unwrap_or_default();
        if rest.is_empty() {
            return progress;
        }
        if progress.skipping {
            let newline = rest.iter().position(|byte| *byte == b'\n');
            let skipped = newline.map_or(rest.len(), |at| at + 1);
            goes_on = each(Piece::Skipped(skipped));
            progress = Progress { consumed: progress.consumed + skipped, skipping: newline.is_none() };
            continue;
        }
        let nul = rest.iter().take_while(|byte| **byte == 0).count();
        if nul > 0 {
            goes_on = each(Piece::Nul(nul));
            progress.consumed += nul;
            continue;
        }
        let at = progress.consumed;
        match end(rest, limit) {
            End::At { length, with_newline } => {
                let line = rest.get(..length).unwrap_or_default();
                goes_on = each(Piece::Line { at, bytes: line.strip_suffix(b"\r").unwrap_or(line) });
                progress.consumed += length + usize::from(with_newline);
            }
            End::BeyondLimit => {
                let bytes = rest.get(..=limit).unwrap_or(rest);
                goes_on = each(Piece::Oversized { at, bytes });
                progress = Progress { consumed: at + bytes.len(), skipping: true };
            }
            End::NotYet if tail == Tail::Ends => {
                goes_on = each(Piece::Line { at, bytes: rest });
                progress.consumed = bytes.len();
            }
            End::NotYet => return progress,
        }
    }
    progress
}

enum End {
    At { length: usize, with_newline: bool },
    BeyondLimit,
    NotYet,
}

/// Where the line that begins `bytes` ends.
fn end(bytes: &[u8], limit: usize) -> End {
    let window = bytes.get(..=limit).unwrap_or(bytes);
    let newline = window.iter().position(|byte| *byte == b'\n');
    let line = newline.and_then(|at| window.get(..at)).unwrap_or(window);
    match (hole(line), newline) {
        (Some(length), _) => End::At { length, with_newline: false },
        (None, Some(length)) => End::At { length, with_newline: true },
        (None, None) if bytes.len() > limit => End::BeyondLimit,
        (None, None) => End::NotYet,
    }
}

/// Where a run of `HOLE` NUL bytes begins.
fn hole(line: &[u8]) -> Option<usize> {
    let mut from = 0;
    while let Some(nul) = line.get(from..)?.iter().position(|byte| *byte == 0) {
        let start = from + nul;
        let run = line.get(start..)?.iter().take_while(|byte| **byte == 0).count();
        if run >= HOLE {
            return Some(start);
        }
        from = start + run;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 100;

    /// Cuts a whole file that is read in pieces of these sizes; what did not end waits and is read again.
    fn read(file: &[u8], sizes: &[usize]) -> (Vec<(usize, Vec<u8>)>, usize) {
        let (mut lines, mut lost, mut offset, mut skipping) = (Vec::new(), 0, 0, false);
        let mut window = 0;
        let mut sizes = sizes.iter().copied().chain(std::iter::repeat(file.len().max(1)));
        loop {
            let ends = offset + window >= file.len();
            let bytes = &file[offset..(offset + window).min(file.len())];
            let tail = if ends { Tail::Ends } else { Tail::Waits };
            let progress = cut(bytes, skipping, LIMIT, tail, &mut |piece| {
                match piece {
                    Piece::Line { at, bytes } | Piece::Oversized { at, bytes } => {
                        lines.push((offset + at, bytes.to_vec()));
                    }
                    Piece::Skipped(n) | Piece::Nul(n) => lost += n,
                }
                true
            });
            offset += progress.consumed;
            skipping = progress.skipping;
            if ends {
                assert_eq!(offset, file.len());
                return (lines, lost);
            }
            window = bytes.len() - progress.consumed + sizes.next().unwrap();
        }
    }

    fn lines(file: &[u8]) -> Vec<String> {
        read(file, &[]).0.iter().map(|(at, line)| format!("{at} {}", String::from_utf8_lossy(line))).collect()
    }

    #[test]
    fn a_line_is_what_stands_before_its_newline() {
        assert_eq!(lines(b"one\ntwo\r\n\nlast"), ["0 one", "4 two", "9 ", "10 last"]);
        let mut seen = 0;
        let waits = cut(b"one\nlast", false, LIMIT, Tail::Waits, &mut |_| {
            seen += 1;
            true
        });
        assert_eq!((waits, seen), (Progress { consumed: 4, skipping: false }, 1));
    }

    #[test]
    fn of_an_oversized_line_the_first_bytes_are_kept_and_the_next_line_whole() {
        let file = format!("{}\nnext\n", "x".repeat(350));
        let (lines, lost) = read(file.as_bytes(), &[]);
        assert_eq!(lines, [(0, "x".repeat(LIMIT + 1).into_bytes()), (351, b"next".to_vec())]);
        assert_eq!(lost, 350 - LIMIT - 1 + 1);
    }

    #[test]
    fn holes_separate_lines_and_single_nuls_do_not() {
        let mut file = vec![0; 5000];
        file.extend_from_slice(b"one\ncut by a crash");
        file.resize(file.len() + 1000, 0);
        file.extend_from_slice(b"two\nforged\0line\n");
        assert_eq!(lines(&file), ["5000 one", "5004 cut by a crash", "6018 two", "6022 forged\0line"]);
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_a_file_is_read(
            parts in prop::collection::vec(prop_oneof![
                "[a-z]{0,20}\n", "[a-z]{90,110}", "\n", Just("\0".to_owned()), Just("\0".repeat(70)), "[a-z]{0,5}\r\n",
            ], 0..40),
            sizes in prop::collection::vec(1usize..300, 0..60),
        ) {
            let file = parts.concat().into_bytes();
            let whole = read(&file, &[]);
            prop_assert_eq!(&read(&file, &sizes), &whole);
            // Nothing is lost: lines, their ends and what was skipped make up the file.
            let kept: usize = whole.0.iter().map(|(_, line)| line.len()).sum();
            let ends = file.iter().filter(|byte| matches!(**byte, b'\n' | b'\r')).count();
            prop_assert!(kept + whole.1 <= file.len() && kept + whole.1 + ends >= file.len());
        }
    }
}
