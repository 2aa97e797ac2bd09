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

    /// Whether the client sends a form (`multipart/form-data`). It stays with the host: `task.body` is an object with
    /// the `model` alone, and a request without a body of its own sends the form, once.
    pub fn takes_form(&self) -> bool {
        matches!(
            self.path(),
            "audio/transcriptions" | "audio/translations" | "images/edits" | "images/variations"
        )
    }

    /// Whether both sides are JSON: the task's body is all that the client said, and a complete answer an object.
    pub fn is_json(&self) -> bool {
        !self.takes_form() && self.path() != "audio/speech"
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
    fn forms_and_sound_are_told_from_json() {
        let told = |path| (Operation::from_path(path).takes_form(), Operation::from_path(path).is_json());
        assert_eq!(told("audio/transcriptions"), (true, false));
        assert_eq!(told("audio/speech"), (false, false));
        assert_eq!(told("chat/completions"), (false, true));
    }

    #[test]
    fn a_path_names_the_operation_it_came_from() {
        for path in ["chat/completions", "completions", "embeddings", "responses", "messages", "rerank"] {
            assert_eq!(Operation::from_path(path).path(), path);
        }
    }
}
