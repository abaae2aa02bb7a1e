//! A key that stands twice: which one, and where it stood before.
//!
//! The TOML parser stops at the second and says nothing of the first, and without a tree there is only the
//! text; so the first is looked for as people would, backwards through the lines.

use std::ops::Range;

use super::place::line_and_column;
use super::problem::Mistake;

/// What to say about the key at `second`, which the parser calls a duplicate.
pub(super) fn mistake(text: &str, second: Range<usize>) -> Mistake {
    let key = text.get(second.clone()).unwrap_or_default().trim_matches(['"', '\'']);
    let before = text.get(..second.start).unwrap_or_default();
    let Some(first) = first(before, key) else {
        return Mistake::new(format!("`{key}` stands here for the second time"), "keep one of them");
    };
    let (line, column) = line_and_column(text, first);
    Mistake::new(
        format!("`{key}` already stands at {line}:{column}"),
        "keep one of them, with what both hold",
    )
}

/// Where `key` stood in `before`, which ends where it stands again.
fn first(before: &str, key: &str) -> Option<usize> {
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let (above, here) = before.split_at(start);
    let is_header = here.trim_start().starts_with('[');
    if !is_header && !here.trim().is_empty() {
        let places = here.match_indices(key).map(|(at, _)| start + at);
        return places.filter(|&at| names(&before[at..], key)).last();
    }
    let mut end = above.len();
    for line in above.split_inclusive('\n').rev() {
        end -= line.len();
        let trimmed = line.trim_start_matches([' ', '\t', '[', '"', '\'']);
        let header = line.trim_start().starts_with('[');
        if header == is_header && names(trimmed, key) {
            return Some(end + line.len() - trimmed.len());
        }
        if header && !is_header {
            return None;
        }
    }
    None
}

/// Whether `text` begins with the whole of `key`.
fn names(text: &str, key: &str) -> bool {
    let rest = text.strip_prefix(key);
    rest.is_some_and(|rest| rest.starts_with([' ', '\t', '=', '.', ']', '"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_in_its_own_table_only() {
        assert_eq!(said("[a]\nb = 1\n[c]\nbb = 1\n b = 2\nb = 3\n"), "`b` already stands at 5:2");
        assert_eq!(said("[a]\nb = 1\n[c]\nb = 3\n"), "`b` stands here for the second time");
    }

    #[test]
    fn a_header_is_found_among_headers() {
        assert_eq!(said("[sip]\n[log]\nsip = 1\n[sip]\n"), "`sip` already stands at 1:2");
        assert_eq!(said("[[sip]]\n[log]\n[sip]\n"), "`sip` already stands at 1:3");
    }

    #[test]
    fn a_key_within_one_line_is_found_there() {
        assert_eq!(said("set = { X-A = 1, \"X-A\" = 2 }"), "`X-A` already stands at 1:9");
    }

    /// What is said when the last key of `text` stands twice.
    fn said(text: &str) -> String {
        let last = text.trim_end().rsplit(['\n', ',']).next().unwrap();
        let key = last.trim_matches(['[', ']', ' ', '}']).split('=').next().unwrap().trim();
        let at = text.rfind(key).unwrap();
        mistake(text, at..at + key.len()).what
    }
}
