//! A recording: one JSON file. `docs/decisions/0031-recordings.md` says what stands in it.

use std::{
    fs::File,
    io::{self, Read as _, Write},
    path::Path,
};

use airlock_sandbox::{LoadError, MAX_CHAIN, Step, inspect};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};

use super::{Outcome, Part, Plan, Subject, TaskError, Timed};

/// The form of recordings that is written, and the only one that is read.
const VERSION: u32 = 1;
/// Larger files are not read.
const MOST_BYTES: u64 = 256 << 20;

/// All that reached an adaptor in one run, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// The form of this file.
    airlock_recording: u32,
    /// Which airlock has written it.
    airlock: String,
    /// What was run.
    pub plan: Plan,
    /// All that happened, in its order.
    pub steps: Vec<Timed>,
    /// What came of it.
    pub outcome: Outcome,
}

/// Why a file cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    /// It is over the limit.
    #[error("it is larger than {MOST_BYTES} bytes, which no recording is")]
    TooLarge,
    /// Something else.
    #[error("it is no recording: {0}. `airlock adaptor record` makes one")]
    None(String),
    /// Of another form.
    #[error(
        "it is a recording of version {0}, and this airlock reads version {VERSION}: play it with the airlock that wrote it ({1})"
    )]
    Version(u64, String),
    /// Cut off, or changed by hand.
    #[error("the recording is damaged or cut off: {0}")]
    Damaged(String),
    /// One of its steps cannot have happened.
    #[error("the recording is damaged: step {0} ({1})")]
    Step(usize, String),
    /// A component in it is not the one that it names.
    #[error("the recording is damaged: the component {name} in it has another digest than it says ({found})")]
    Component {
        /// The part's name.
        name: String,
        /// The digest of what it holds.
        found: String,
    },
    /// What it holds as a component is none.
    #[error("the component {0} in the recording: {1}")]
    NoComponent(String, LoadError),
    /// A task that is none.
    #[error("the recording is damaged: {0}")]
    Task(#[from] TaskError),
}

/// What is looked at before the rest.
#[derive(Deserialize)]
struct Head {
    airlock_recording: Option<u64>,
    #[serde(default)]
    airlock: String,
}

impl Recording {
    /// Of a run that is over.
    pub fn new(plan: Plan, steps: Vec<Timed>, outcome: Outcome) -> Self {
        let airlock = env!("CARGO_PKG_VERSION").to_owned();
        Self { airlock_recording: VERSION, airlock, plan, steps, outcome }
    }

    /// Reads a file, which may be anybody's.
    pub fn open(file: &Path) -> Result<Self, RecordingError> {
        let mut text = Vec::new();
        File::open(file)?.take(MOST_BYTES + 1).read_to_end(&mut text)?;
        if text.len() as u64 > MOST_BYTES {
            return Err(RecordingError::TooLarge);
        }
        Self::read(&text)
    }

    /// Reads a recording and checks that it can be played.
    pub fn read(text: &[u8]) -> Result<Self, RecordingError> {
        let head: Head = serde_json::from_slice(text).map_err(|error| {
            let begins = text.trim_ascii_start().starts_with(b"{\n\"airlock_recording\"");
            let why = error.to_string();
            if begins { RecordingError::Damaged(why) } else { RecordingError::None(why) }
        })?;
        match head.airlock_recording {
            Some(version) if version == u64::from(VERSION) => {}
            Some(version) => return Err(RecordingError::Version(version, head.airlock)),
            None => return Err(RecordingError::None("it has no `airlock_recording`".into())),
        }
        let recording: Self =
            serde_json::from_slice(text).map_err(|error| RecordingError::Damaged(error.to_string()))?;
        recording.check()?;
        Ok(recording)
    }

    fn check(&self) -> Result<(), RecordingError> {
        let parts = &self.plan.parts;
        if !(1..=MAX_CHAIN).contains(&parts.len()) {
            return Err(RecordingError::Damaged(format!("a chain of {} parts", parts.len())));
        }
        parts.iter().try_for_each(check_part)?;
        if let Subject::Endpoint { task, .. } = &self.plan.subject {
            task.check()?;
        }
        for (at, timed) in self.steps.iter().enumerate() {
            check_step(&timed.step).map_err(|why| RecordingError::Step(at + 1, why))?;
        }
        Ok(())
    }

    /// Writes it: one step a line, so that two recordings can be compared line by line.
    pub fn write(&self, mut to: impl Write) -> io::Result<()> {
        writeln!(to, "{{\n\"airlock_recording\": {VERSION},")?;
        writeln!(to, "\"airlock\": {},", json(&self.airlock)?)?;
        writeln!(to, "\"plan\": {},\n\"steps\": [", json(&self.plan)?)?;
        for (at, step) in self.steps.iter().enumerate() {
            let comma = if at + 1 < self.steps.len() { "," } else { "" };
            writeln!(to, "{}{comma}", json(step)?)?;
        }
        writeln!(to, "],\n\"outcome\": {}\n}}", json(&self.outcome)?)
    }
}

fn json(value: &impl Serialize) -> io::Result<String> {
    Ok(serde_json::to_string(value)?)
}

fn check_part(part: &Part) -> Result<(), RecordingError> {
    let Some(component) = &part.component else { return Ok(()) };
    let name = part.name.clone();
    match inspect(&component.0) {
        Ok(found) if found.digest == part.digest => Ok(()),
        Ok(found) => Err(RecordingError::Component { name, found: found.digest }),
        Err(error) => Err(RecordingError::NoComponent(name, error)),
    }
}

fn check_step(step: &Step) -> Result<(), String> {
    let Step::Head { status, headers, .. } = step else { return Ok(()) };
    StatusCode::from_u16(*status).map_err(|_| format!("{status} is no HTTP status"))?;
    for (name, value) in headers {
        let is_header = HeaderName::try_from(name).is_ok() && HeaderValue::from_bytes(&value.0).is_ok();
        if !is_header {
            return Err(format!("{name:?} is no HTTP header"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use airlock_sandbox::Budgets;

    use super::*;
    use crate::trial::{Limits, TaskText};

    fn recording() -> Recording {
        let task = TaskText::read(b"{}".to_vec(), "chat/completions", None, false).unwrap();
        let subject = Subject::Endpoint {
            slug: "s".into(),
            cluster: "c".into(),
            framework: "api".into(),
            model: "m".into(),
            config: serde_json::Map::new(),
            task,
        };
        let part = Part { name: "a".into(), digest: "00".into(), size: 1, component: None };
        let plan = Plan { parts: vec![part], subject, limits: Limits::of(&Budgets::default()) };
        let steps = vec![
            Timed { at_us: 1, step: Step::Call { export: "validate".into() } },
            Timed { at_us: 2, step: Step::Chunk { request: 0, data: vec![0xff].into() } },
        ];
        Recording::new(plan, steps, Outcome::default())
    }

    fn written(recording: &Recording) -> String {
        let mut text = Vec::new();
        recording.write(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let recording = recording();
        let text = written(&recording);
        assert_eq!(Recording::read(text.as_bytes()).unwrap(), recording, "{text}");
        assert!(text.lines().any(|line| line.starts_with(r#"{"at_us":1,"did":"call""#)), "{text}");
    }

    #[test]
    fn a_component_that_was_put_in_the_place_of_another_is_told() {
        let mut recording = recording();
        recording.plan.parts[0].component = Some(b"\0asm\x0d\0\x01\0".to_vec().into());
        let told = Recording::read(written(&recording).as_bytes()).unwrap_err().to_string();
        assert!(told.contains("the component a in it has another digest than it says"), "{told}");
    }

    #[test]
    fn whatever_is_wrong_with_a_file_is_told_and_nothing_panics() {
        let text = written(&recording());
        for (wrong, says) in [
            (text.replace("\"airlock_recording\": 1", "\"airlock_recording\": 2"), "of version 2"),
            (text.replace("\"airlock_recording\": 1,", ""), "no `airlock_recording`"),
            (
                text.replace("\"did\":\"call\"", "\"did\":\"dance\""),
                "damaged or cut off: unknown variant `dance`",
            ),
            (text.replace("chat/completions", "chat"), "no operation \"chat\""),
            (text.replace("\"digest\":\"00\"", "\"digest\":7"), "damaged or cut off"),
            (text.replace("{\"base64\":\"/w==\"}", "{\"base64\":\"!\"}"), "damaged or cut off"),
            ("[]".into(), "it is no recording"),
            (String::new(), "it is no recording"),
            (format!("{}1", "[".repeat(100_000)), "it is no recording"),
        ] {
            let told = Recording::read(wrong.as_bytes()).unwrap_err().to_string();
            assert!(told.contains(says), "{told}");
        }
        for end in 0..text.len() - 1 {
            assert!(Recording::read(&text.as_bytes()[..end]).is_err(), "cut off at {end}");
        }
    }
}
