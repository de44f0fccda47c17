/// Cuts a text that comes in pieces into JSON values, one after another: what a streaming call reads from standard input.
///
/// ```
/// let mut values = polywire_proto::JsonValues::default();
/// values.push(r#"{"id": 1} {"id""#);
/// assert_eq!(values.next_value().as_deref(), Some(r#"{"id": 1}"#));
/// assert_eq!(values.next_value(), None);
/// values.push(": 2}\n");
/// assert_eq!(values.next_value().as_deref(), Some(r#"{"id": 2}"#));
/// assert_eq!(values.finish(), None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct JsonValues {
    text: String,
    /// How much of the text belongs to the value that has begun.
    scanned: usize,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl JsonValues {
    /// Takes more text.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// The next value that is there as a whole. It is cut out, not checked: what is between two values comes with the second.
    pub fn next_value(&mut self) -> Option<String> {
        if self.scanned == 0 {
            let blank = self.text.len() - self.text.trim_start_matches(is_between).len();
            self.text.drain(..blank);
        }
        while let Some(letter) = self.text[self.scanned..].chars().next() {
            let outside = self.depth == 0 && !self.in_string;
            // A number or a word ends where something else begins.
            if outside && self.scanned > 0 && (is_between(letter) || matches!(letter, '{' | '[' | '"')) {
                return Some(self.cut());
            }
            self.scanned += letter.len_utf8();
            if self.in_string {
                match letter {
                    _ if self.escaped => self.escaped = false,
                    '\\' => self.escaped = true,
                    '"' => self.in_string = false,
                    _ => {}
                }
            } else {
                match letter {
                    '"' => self.in_string = true,
                    '{' | '[' => self.depth += 1,
                    '}' | ']' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
            }
            if self.depth == 0 && !self.in_string && matches!(letter, '}' | ']' | '"') {
                return Some(self.cut());
            }
        }
        None
    }

    /// What is left when no more text will come: a number or a word, or a value that was cut short.
    pub fn finish(mut self) -> Option<String> {
        if let Some(value) = self.next_value() {
            return Some(value);
        }
        let rest = self.text.trim();
        (!rest.is_empty()).then(|| rest.to_owned())
    }

    fn cut(&mut self) -> String {
        let rest = self.text.split_off(self.scanned);
        self.scanned = 0;
        std::mem::replace(&mut self.text, rest)
    }
}

fn is_between(letter: char) -> bool {
    letter.is_ascii_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&str]) -> Vec<String> {
        let mut values = JsonValues::default();
        let mut found = Vec::new();
        for piece in pieces {
            values.push(piece);
            found.extend(std::iter::from_fn(|| values.next_value()));
        }
        found.extend(values.finish());
        found
    }

    #[test]
    fn values_need_nothing_between_them() {
        assert_eq!(all(&["{}{\"a\":[1,{}]}[]"]), ["{}", "{\"a\":[1,{}]}", "[]"]);
        assert_eq!(all(&[" 1 true\n\"3s\"null{} "]), ["1", "true", "\"3s\"", "null", "{}"]);
    }

    #[test]
    fn brackets_and_quotes_in_strings_are_letters() {
        assert_eq!(all(&[r#"{"a": "}\"{"} {"b": "\\"}"#]), [r#"{"a": "}\"{"}"#, r#"{"b": "\\"}"#]);
    }

    #[test]
    fn pieces_may_be_cut_anywhere() {
        let text = r#"{"ü": "\"é", "b": [1, 2]} 17 {"c": {}}"#;
        let whole = all(&[text]);
        assert_eq!(whole.len(), 3);
        let letters: Vec<String> = text.chars().map(String::from).collect();
        assert_eq!(all(&letters.iter().map(String::as_str).collect::<Vec<_>>()), whole);
    }

    #[test]
    fn a_value_cut_short_is_handed_out_at_the_end_to_be_refused() {
        assert_eq!(all(&["{} {\"a\": "]), ["{}", "{\"a\":"]);
    }
}
