//! README.md of a chart. In: an introduction and the text of values.yaml. Out: Markdown, or the line that has no comment.
//!
//! In values.yaml `## Title` begins a section, and `# -- text`, with the lines of comment after it, says what the next key is for.
//! A key with a comment has a row, and what is below it only if it has a comment of its own.

use std::fmt::Write as _;

use serde_json::Value;

use super::MD_HEADER;

/// Line from 1, and what is wrong with it.
type Wrong = (usize, String);

/// A key on the way to where we are.
struct Level {
    indent: usize,
    key: String,
    /// It, or a key above it, has a comment.
    said: bool,
}

/// The whole page.
pub fn page(introduction: &str, values: &str) -> Result<String, Wrong> {
    let parsed: Value = serde_saphyr::from_str(values).map_err(|error| (1, error.to_string()))?;
    let mut text = format!("{MD_HEADER}{introduction}\n## Values\n");
    let mut way: Vec<Level> = Vec::new();
    let mut comment: Option<String> = None;
    for (at, line) in values.lines().enumerate() {
        let trimmed = line.trim_start();
        if let Some(title) = line.strip_prefix("## ") {
            write!(text, "\n### {title}\n\n| key | default | what it is for |\n|---|---|---|\n").expect(INFALLIBLE);
        } else if let Some(begins) = trimmed.strip_prefix("# -- ") {
            comment = Some(begins.to_owned());
        } else if let Some(goes_on) = trimmed.strip_prefix("# ") {
            if let Some(comment) = &mut comment {
                comment.push(' ');
                comment.push_str(goes_on);
            }
        } else if let Some((key, _)) = trimmed.split_once(':') {
            let indent = line.len() - trimmed.len();
            way.retain(|level| level.indent < indent);
            let above = way.last().is_some_and(|level| level.said);
            let key = key.trim_matches('"').to_owned();
            way.push(Level { indent, key, said: above || comment.is_some() });
            let (path, value) = find(&way, &parsed).ok_or((at + 1, format!("is no key: {trimmed}")))?;
            match comment.take() {
                Some(said) => row(&mut text, &path, value, &said),
                None if !above && !value.is_object() => {
                    return Err((at + 1, format!("{path} has no comment `# -- …`")));
                }
                None => {}
            }
        } else {
            comment = None;
        }
    }
    Ok(text)
}

const INFALLIBLE: &str = "writing to a String does not fail";

/// Path with dots, and the default.
fn find<'a>(way: &[Level], parsed: &'a Value) -> Option<(String, &'a Value)> {
    let value = way.iter().try_fold(parsed, |value, level| value.get(&level.key))?;
    let path: Vec<_> = way.iter().map(|level| level.key.as_str()).collect();
    Some((path.join("."), value))
}

fn row(text: &mut String, path: &str, value: &Value, said: &str) {
    let default = value.to_string().replace('|', "\\|");
    writeln!(text, "| `{path}` | `{default}` | {} |", said.replace('|', "\\|")).expect(INFALLIBLE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_a_row_with_its_default() {
        let values = "# About the file.\n\n## One\n\na:\n  # -- First,\n  # on two lines | with a bar.\n  b: 1\n  # -- Second.\n  \
                      c:\n    d: {e: [x]}\n# -- Third.\nf: \"\"\n";
        let text = page("# T\n", values).unwrap();
        let rows: Vec<_> = text.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(
            rows,
            [
                "| `a.b` | `1` | First, on two lines \\| with a bar. |",
                "| `a.c` | `{\"d\":{\"e\":[\"x\"]}}` | Second. |",
                "| `f` | `\"\"` | Third. |"
            ]
        );
    }

    #[test]
    fn a_key_without_a_comment_is_named() {
        assert_eq!(page("", "a:\n  b: 1\n").unwrap_err(), (2, "a.b has no comment `# -- …`".to_owned()));
    }
}
