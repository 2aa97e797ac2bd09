//! Files that are to become adaptors, as the compiling child gets them: whatever they hold, there is machine code
//! or a reason.

use std::sync::LazyLock;

use airlock_sandbox::ComponentCompiler;
use serde_json::Value;

static COMPILER: LazyLock<ComponentCompiler> = LazyLock::new(|| ComponentCompiler::new().expect("an engine"));

/// `data` is a file's bytes.
pub fn check(data: &[u8]) {
    let mut answer = Vec::new();
    COMPILER.serve(&[], data, &mut answer).expect("memory takes everything");
    let end = answer.iter().position(|byte| *byte == b'\n').expect("a line");
    let (line, code) = (&answer[..end], &answer[end + 1..]);
    let verdict: Value = serde_json::from_slice(line).expect("a verdict");
    let (kind, content) = verdict.as_object().and_then(|v| v.iter().next()).expect("one verdict");
    match kind.as_str() {
        "compiled" => {
            assert!(data.starts_with(b"\0asm\x0d\0\x01\0"), "what is no component was compiled");
            assert!(!code.is_empty());
        }
        "invalid" | "proposal" => {
            let reason = content.as_str().expect("a text");
            assert!(!reason.contains('\n') && reason.len() > 1, "{reason:?} is not one line");
            assert!(code.is_empty());
        }
        other => panic!("{other} is no verdict"),
    }
}
