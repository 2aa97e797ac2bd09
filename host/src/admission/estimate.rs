//! How many tokens a request will use, before anybody has counted them.

use airlock_sandbox::Operation;

/// What an answer is expected to have where the client sets no limit.
const USUAL_ANSWER: u64 = 512;
/// What is reserved for an answer at most: many clients always ask for the most that their model can.
const LONGEST_ANSWER: u64 = 4_096;
/// A picture or a recording within the text.
const DATA: u64 = 1_024;
/// A text of JSON that is longer than this, and reads like base64, is one.
const LONG: usize = 4_096;

/// What is known of a request before it is sent.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// What is asked for.
    pub operation: Operation,
    /// Its body, where it is JSON.
    pub body: &'a [u8],
    /// How many tokens all of its answers may have, where it says so.
    pub answer: Option<u64>,
}

/// A number of tokens that is hardly ever much too small: four bytes to a token, and what the answer may have.
pub(super) fn tokens(asked: &Asked<'_>) -> u64 {
    use Operation as O;
    let answer = asked.answer.unwrap_or(USUAL_ANSWER).min(LONGEST_ANSWER);
    match asked.operation {
        O::ChatCompletions | O::Completions | O::Responses | O::Messages => {
            prompt(asked.body).saturating_add(answer)
        }
        O::Embeddings | O::Moderations | O::Rerank => prompt(asked.body),
        // Nothing is generated, or not in tokens; what a backend counts all the same is charged then.
        O::CountTokens
        | O::ImageGenerations
        | O::ImageEdits
        | O::ImageVariations
        | O::Speech
        | O::Transcriptions
        | O::Translations => 1,
    }
}

fn prompt(body: &[u8]) -> u64 {
    let (mut text, mut data, mut begin) = (0, 0_u64, 0);
    for end in memchr::memchr_iter(b'"', body).chain([body.len()]) {
        let piece = body.get(begin..end).unwrap_or_default();
        if is_data(piece) {
            data += 1;
        } else {
            text += piece.len();
        }
        begin = end + 1;
    }
    u64::try_from(text.div_ceil(4)).unwrap_or(u64::MAX).saturating_add(data.saturating_mul(DATA))
}

/// `data:image/png;base64,…`, or what stands behind the comma alone.
fn is_data(piece: &[u8]) -> bool {
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=-_:;,.\\".contains(byte);
    piece.get(..LONG).is_some_and(|beginning| beginning.iter().all(is_base64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(operation: Operation, body: &str, answer: Option<u64>) -> u64 {
        tokens(&Asked { operation, body: body.as_bytes(), answer })
    }

    #[test]
    fn a_prompt_is_its_bytes_and_an_answer_what_it_may_be_within_reason() {
        let body = "x y ".repeat(100);
        assert_eq!(of(Operation::ChatCompletions, &body, Some(10)), 110);
        assert_eq!(of(Operation::ChatCompletions, &body, None), 100 + USUAL_ANSWER);
        assert_eq!(of(Operation::ChatCompletions, &body, Some(u64::MAX)), 100 + LONGEST_ANSWER);
        assert_eq!(of(Operation::Embeddings, &body, None), 100);
        assert_eq!(of(Operation::Transcriptions, &body, None), 1);
    }

    #[test]
    fn a_picture_is_no_text() {
        let picture = format!(r#"{{"url":"data:image/png;base64,{}"}}"#, "iVBORw0K".repeat(100_000));
        let tokens = of(Operation::Embeddings, &picture, None);
        assert!((DATA..DATA + 10).contains(&tokens), "{tokens}");
        let words = "nothing but words ".repeat(1_000);
        assert_eq!(of(Operation::Embeddings, &format!("\"{words}\""), None), 4_500);
    }
}
