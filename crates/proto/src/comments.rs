use std::collections::HashMap;

use crate::FileDescriptorProto;

/// The comments of a file by the path of what they describe (`SourceCodeInfo.Location.path`).
#[derive(Debug, Default)]
pub(crate) struct Comments(HashMap<Vec<i32>, String>);

impl Comments {
    /// What stands above each declaration, or behind it when there is nothing above.
    pub(crate) fn of(file: &FileDescriptorProto) -> Self {
        let mut comments = HashMap::new();
        let locations = file.source_code_info.as_option().map(|source| source.location.as_slice());
        for location in locations.unwrap_or_default() {
            let leading = location.leading_comments.as_deref().unwrap_or_default();
            let trailing = location.trailing_comments.as_deref().unwrap_or_default();
            let text = if leading.trim().is_empty() { trailing } else { leading };
            if !text.trim().is_empty() {
                comments.insert(location.path.clone(), text.to_owned());
            }
        }
        Self(comments)
    }

    /// The comment of the element at this path.
    pub(crate) fn at(&self, path: &[i32]) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }
}

/// A comment's text, without what stands around it.
pub(crate) fn plain(comment: &str) -> String {
    trimmed_lines(comment).join("\n")
}

/// The lines without what all have in front (one space, as in `// text`), without spaces behind, without blank lines
/// around them.
pub(crate) fn trimmed_lines(comment: &str) -> Vec<&str> {
    let lines: Vec<&str> = comment.lines().map(str::trim_end).collect();
    let one_space = lines.iter().all(|line| line.is_empty() || line.starts_with(' '));
    let mut lines: Vec<&str> =
        lines.into_iter().map(|line| if one_space { line.strip_prefix(' ').unwrap_or(line) } else { line }).collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    let blank = lines.iter().take_while(|line| line.is_empty()).count();
    lines.drain(..blank);
    lines
}

/// Field numbers of `descriptor.proto` of which the paths are made.
pub(crate) mod path {
    pub(crate) const FILE_MESSAGE: i32 = 4;
    pub(crate) const FILE_ENUM: i32 = 5;
    pub(crate) const FILE_SERVICE: i32 = 6;
    pub(crate) const FILE_EXTENSION: i32 = 7;
    pub(crate) const MESSAGE_FIELD: i32 = 2;
    pub(crate) const MESSAGE_NESTED: i32 = 3;
    pub(crate) const MESSAGE_ENUM: i32 = 4;
    pub(crate) const MESSAGE_EXTENSION: i32 = 6;
    pub(crate) const MESSAGE_ONEOF: i32 = 8;
    pub(crate) const ENUM_VALUE: i32 = 2;
    pub(crate) const SERVICE_METHOD: i32 = 2;
}
