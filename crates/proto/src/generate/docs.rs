//! Comments of `.proto` files as Rust doc comments.

use crate::comments::trimmed_lines;

/// A comment as Markdown that rustdoc takes as it was meant: no line of it becomes a test, a link that leads nowhere or
/// an HTML tag.
pub(super) fn markdown(comment: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut block = Block::Text;
    let mut after_blank = true;
    for line in trimmed_lines(comment) {
        let blank = line.is_empty();
        let indented = line.starts_with("    ") || line.starts_with('\t');
        if let Some(language) = line.trim_start().strip_prefix("```") {
            match block {
                Block::Fenced => {
                    block = Block::Text;
                    lines.push("```".to_owned());
                }
                Block::Indented | Block::Text => {
                    if block == Block::Indented {
                        close(&mut lines);
                    }
                    block = Block::Fenced;
                    lines.push(format!("```{}", language_without_test(language.trim())));
                }
            }
        } else {
            match block {
                Block::Text if indented && after_blank => {
                    block = Block::Indented;
                    lines.push("```text".to_owned());
                    lines.push(without_indent(line).to_owned());
                }
                Block::Indented if indented || blank => lines.push(without_indent(line).to_owned()),
                Block::Fenced => lines.push(line.to_owned()),
                Block::Indented => {
                    close(&mut lines);
                    block = Block::Text;
                    lines.push(escaped(line));
                }
                Block::Text => lines.push(escaped(line)),
            }
        }
        after_blank = blank;
    }
    match block {
        Block::Fenced => lines.push("```".to_owned()),
        Block::Indented => close(&mut lines),
        Block::Text => {}
    }
    lines
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    Fenced,
    Indented,
    Text,
}

/// Ends an indented block; the blank lines at its end go behind it.
fn close(lines: &mut Vec<String>) {
    let blank = lines.iter().rev().take_while(|line| line.is_empty()).count();
    lines.insert(lines.len() - blank, "```".to_owned());
    if blank == 0 {
        lines.push(String::new());
    }
}

fn without_indent(line: &str) -> &str {
    line.strip_prefix("    ").or_else(|| line.strip_prefix('\t')).unwrap_or(line)
}

/// Rustdoc runs fences without a language, and those of Rust, as tests.
fn language_without_test(language: &str) -> String {
    match language {
        "" => "text".to_owned(),
        "rust" => "rust,ignore".to_owned(),
        _ => language.to_owned(),
    }
}

/// Escapes what rustdoc would take for links and tags, outside of `code`.
fn escaped(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut in_code = false;
    let mut rest = line;
    while let Some(letter) = rest.chars().next() {
        if !in_code && (rest.starts_with("http://") || rest.starts_with("https://")) {
            let end = rest.find(|c: char| c.is_whitespace() || "<>\"`)]".contains(c)).unwrap_or(rest.len());
            let url = rest[..end].trim_end_matches(['.', ',', ';', ':', '!', '?']);
            let in_link = text.ends_with("](") || text.ends_with("\\<");
            if text.ends_with("\\<") && rest[url.len()..].starts_with('>') {
                text.truncate(text.len() - 2);
                text.push_str(&format!("<{url}>"));
                rest = &rest[url.len() + 1..];
                continue;
            }
            text.push_str(&if in_link { url.to_owned() } else { format!("<{url}>") });
            rest = &rest[url.len()..];
            continue;
        }
        match letter {
            '`' => {
                in_code = !in_code;
                text.push('`');
            }
            '[' if !in_code && !is_link(rest) => text.push_str("\\["),
            '<' if !in_code => text.push_str("\\<"),
            _ => text.push(letter),
        }
        rest = &rest[letter.len_utf8()..];
    }
    if in_code {
        // An odd backquote would swallow what follows.
        return text.replacen('`', "\\`", 1);
    }
    text
}

/// Whether `[…](http…` begins here.
fn is_link(text: &str) -> bool {
    let Some(end) = text.find(']') else { return false };
    text[end + 1..].starts_with("(http://") || text[end + 1..].starts_with("(https://")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(comment: &str) -> String {
        markdown(comment).join("\n")
    }

    #[test]
    fn the_space_behind_the_slashes_goes() {
        assert_eq!(rendered(" One.\n\n   Two, deeper.\n"), "One.\n\n  Two, deeper.");
    }

    #[test]
    fn code_is_never_run_as_a_test() {
        assert_eq!(rendered(" Like\n\n     curl it\n\n Then."), "Like\n\n```text\ncurl it\n```\n\nThen.");
        assert_eq!(rendered(" ```\n a [b]\n ```"), "```text\na [b]\n```");
        assert_eq!(rendered("```rust\nlet a;"), "```rust,ignore\nlet a;\n```");
    }

    #[test]
    fn brackets_are_text_unless_they_link_somewhere() {
        assert_eq!(rendered("See [Order] and `[x]`."), "See \\[Order] and `[x]`.");
        assert_eq!(rendered("See [it](https://example.com)."), "See [it](https://example.com).");
        assert_eq!(rendered("a Map<K, V>"), "a Map\\<K, V>");
    }

    #[test]
    fn an_address_becomes_a_link() {
        assert_eq!(rendered("At https://example.com/a, or"), "At <https://example.com/a>, or");
        assert_eq!(rendered("At <https://example.com>."), "At <https://example.com>.");
    }
}
