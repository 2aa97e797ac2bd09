//! The load: wrk, with a script that posts one body and reports in a form a program can read.

use crate::error::{Context, Fallible};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

/// What to do where wrk is missing.
pub const REMEDY: &str = "wrk is not installed: `apt install wrk`, `brew install wrk`, or build https://github.com/wg/wrk, then run this again";

const RESULT: &str = "result=";
const GRACE: Duration = Duration::from_secs(15);
const BODY_BYTES: usize = 1024;

/// Where a rung's requests go and what they carry.
pub struct Aim {
    /// The whole address.
    pub url: String,
    /// The value of the authorization header.
    pub authorization: String,
    /// The body, about 1 KB.
    pub body: String,
}

/// What wrk saw.
#[derive(Deserialize)]
pub struct Outcome {
    /// Complete answers.
    pub requests: u64,
    duration_us: u64,
    /// Answers with a status above 399.
    pub bad_statuses: u64,
    /// Connections that failed to open, broke, or timed out.
    pub broken: u64,
    /// The median latency in microseconds.
    pub p50: f64,
    /// The 99th percentile of latency in microseconds.
    pub p99: f64,
}

impl Outcome {
    /// Complete answers per second.
    pub fn rate(&self) -> f64 {
        self.requests as f64 / Duration::from_micros(self.duration_us.max(1)).as_secs_f64()
    }
}

/// The version of wrk, if it is there.
pub fn version() -> Option<String> {
    let output = std::process::Command::new("wrk").arg("-v").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().next()?;
    Some(line.split(" [").next().unwrap_or(line).to_owned())
}

/// A chat request of about 1 KB for `model`.
pub fn body(model: &str, streamed: bool) -> String {
    let options = if streamed { r#","stream":true,"stream_options":{"include_usage":true}"# } else { "" };
    let head = format!(
        r#"{{"model":"{model}","messages":[{{"role":"system","content":"You answer in three sentences."}},{{"role":"user","content":""#
    );
    let tail = format!(r#""}}],"temperature":0.2,"max_tokens":256{options}}}"#);
    let question = "Why are there two high tides a day, and why does the hour move? ";
    let room = BODY_BYTES.saturating_sub(head.len() + tail.len());
    let text: String = question.chars().cycle().take(room).collect();
    head + &text + &tail
}

/// Writes the script for one rung.
pub fn write_script(dir: &Path, rung: &str, aim: &Aim) -> Fallible<PathBuf> {
    let path = dir.join(format!("{rung}.lua"));
    let script = format!(
        r#"wrk.method = "POST"
wrk.body = [==[{body}]==]
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = [==[{authorization}]==]
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '{RESULT}{{"requests":%d,"duration_us":%d,"bad_statuses":%d,"broken":%d,"p50":%f,"p99":%f}}\n',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"#,
        body = aim.body,
        authorization = aim.authorization,
    );
    std::fs::write(&path, script).context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// The arguments of a load, as they are typed.
pub fn arguments(connections: usize, seconds: u64, script: &str, url: &str) -> Vec<String> {
    let words = format!("-t1 -c{connections} -d{seconds}s --latency -s {script} {url}");
    words.split(' ').map(str::to_owned).collect()
}

/// Loads `url` over `connections` for `seconds`.
pub async fn run(url: &str, script: &Path, connections: usize, seconds: u64) -> Fallible<Outcome> {
    let mut wrk = Command::new("wrk");
    wrk.args(arguments(connections, seconds, &script.to_string_lossy(), url)).kill_on_drop(true);
    let limit = Duration::from_secs(seconds) + GRACE;
    let output = tokio::time::timeout(limit, wrk.output())
        .await
        .map_err(|_| format!("wrk did not end {} s after its time: killed", GRACE.as_secs()))?
        .context(|| REMEDY.into())?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let result = printed.lines().find_map(|line| line.strip_prefix(RESULT));
    let complaint = String::from_utf8_lossy(&output.stderr);
    let result = result.ok_or_else(|| format!("wrk reported nothing:\n{printed}{complaint}"))?;
    serde_json::from_str(result).context(|| format!("wrk's result cannot be read: {result}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_a_kilobyte_of_json() -> Fallible<()> {
        for streamed in [false, true] {
            let body = body("forward", streamed);
            let value: serde_json::Value = serde_json::from_str(&body)?;
            assert_eq!(body.len(), BODY_BYTES);
            assert_eq!(value.get("model").and_then(|model| model.as_str()), Some("forward"));
            assert_eq!(value.get("stream").is_some(), streamed);
        }
        Ok(())
    }
}
