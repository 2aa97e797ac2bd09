//! Questions to a person at a terminal.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};

use rustix::termios::{self, LocalModes, OptionalActions, Termios};

use crate::cli::Failure;

/// A value that nobody should see: from standard input, or asked for without showing what is typed.
pub(super) fn secret(what: &str) -> Result<String, Failure> {
    let input = std::io::stdin();
    let mut text = String::new();
    if input.is_terminal() {
        let hidden = Hidden::begin();
        ask(&format!("{what}: "));
        input.lock().read_line(&mut text).map_err(Failure::new)?;
        drop(hidden);
        ask("\n");
    } else {
        input.lock().read_to_string(&mut text).map_err(Failure::new)?;
    }
    let value = text.trim_end_matches(['\r', '\n']).to_owned();
    if value.is_empty() {
        return Err(Failure::new(format_args!("{what} is empty: give it on standard input")));
    }
    Ok(value)
}

/// Whether a person says yes. Where nobody can be asked, that is a failure with this remedy.
pub(super) fn is_sure(question: &str, remedy: &str) -> Result<bool, Failure> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(Failure::new(format_args!("nobody can be asked here: {question}\n  {remedy}")));
    }
    ask(&format!("{question} [y/N] "));
    let mut answer = String::new();
    input.lock().read_line(&mut answer).map_err(Failure::new)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn ask(text: &str) {
    let mut out = std::io::stderr();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush()); // a closed terminal is nobody's loss
}

/// While it is there, the terminal shows nothing of what is typed.
struct Hidden(Option<Termios>);

impl Hidden {
    fn begin() -> Self {
        let input = std::io::stdin();
        let before = termios::tcgetattr(&input).ok();
        if let Some(mut modes) = before.clone() {
            modes.local_modes.remove(LocalModes::ECHO);
            let _ = termios::tcsetattr(&input, OptionalActions::Flush, &modes);
        }
        Self(before)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = termios::tcsetattr(std::io::stdin(), OptionalActions::Flush, before);
        }
    }
}
