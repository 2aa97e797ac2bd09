//! An operation as its path, and back.

use crate::Operation;

impl Operation {
    /// The path below `/v1/`, without a leading slash.
    pub fn path(&self) -> &str {
        match self {
            Self::ChatCompletions => "chat/completions",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::Other(path) => path,
        }
    }

    /// The operation that a path below `/v1/` names.
    pub fn from_path(path: &str) -> Self {
        match path {
            "chat/completions" => Self::ChatCompletions,
            "completions" => Self::Completions,
            "embeddings" => Self::Embeddings,
            "responses" => Self::Responses,
            "messages" => Self::Messages,
            other => Self::Other(other.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_the_operation_it_came_from() {
        for path in ["chat/completions", "completions", "embeddings", "responses", "messages", "rerank"] {
            assert_eq!(Operation::from_path(path).path(), path);
        }
    }
}
