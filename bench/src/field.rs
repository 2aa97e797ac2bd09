//! Everything that runs while the ladder is measured. Dropping it stops all of it.

use crate::error::{Context, Fallible};
use crate::gateway::{self, Gateway, Start};
use crate::ladder::Options;
use crate::load::{self, Aim};
use crate::nginx::Nginx;
use crate::probe;
use crate::rungs::{Model, Rung, Via};
use crate::server::{Server, Usage};
use crate::summary::Sample;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const MOCK_READY_LIMIT: Duration = Duration::from_secs(10);

/// The mock, what stands in front of it, and the directory they work in. Stopped front to back.
pub struct Field {
    gateway: Option<Gateway>,
    nginx: Option<(Server, SocketAddr)>,
    mock: Server,
    upstream: SocketAddr,
    guests: PathBuf,
    dir: TempDir,
}

/// One load to put on a rung.
pub struct Load {
    /// The round it belongs to, counted from 1; 0 is the warm-up.
    pub round: u32,
    /// Connections at a time.
    pub connections: usize,
    /// How long.
    pub seconds: u64,
}

impl Field {
    /// Starts what the rungs in `plan` need.
    pub async fn start(options: &Options, plan: &[&Rung], nginx: Option<&Nginx>) -> Fallible<Self> {
        let dir = work_dir()?;
        let (mock, upstream) = start_mock(dir.path(), options.events).await?;
        let wants_nginx = plan.iter().any(|rung| rung.via == Via::Nginx);
        let nginx = match nginx.filter(|_| wants_nginx) {
            Some(nginx) => Some(nginx.start(dir.path(), upstream).await?),
            None => None,
        };
        let models = models(plan, &options.guests);
        let gateway = match &options.gateway {
            Some(binary) if !models.is_empty() => {
                let (dir, guests) = (dir.path(), &options.guests);
                let start = Start { binary, dir, guests, models: &models, upstream, settings: &[] };
                Some(gateway::start(&start).await?)
            }
            _ => None,
        };
        let guests = options.guests.clone();
        Ok(Self { gateway, nginx, mock, upstream, guests, dir })
    }

    /// What the load of `rung` is sent to, or why there is nothing to send it to.
    pub fn aim(&self, rung: &Rung) -> Result<Aim, String> {
        let mut authorization = "Bearer no-key-is-needed-here".to_owned();
        let mut model = "bench";
        let base = match rung.via {
            Via::Mock => format!("http://{}/v1", self.upstream),
            Via::Nginx => {
                let (_, address) = self.nginx.as_ref().ok_or(crate::nginx::REMEDY)?;
                let place = if rung.streamed { "stream/v1" } else { "v1" };
                format!("http://{address}/{place}")
            }
            Via::Gateway(asked) => {
                gateway::missing_guest(&asked, &self.guests).map_or(Ok(()), Err)?;
                let gateway = self.gateway.as_ref().ok_or("there is no gateway")?;
                authorization = format!("Bearer {}", gateway.key);
                model = asked.name;
                gateway.url.clone()
            }
        };
        Ok(Aim {
            url: format!("{base}/chat/completions"),
            authorization,
            body: load::body(model, rung.streamed),
        })
    }

    /// Writes the script that loads `rung`.
    pub fn write_script(&self, rung: &Rung, aim: &Aim) -> Fallible<PathBuf> {
        load::write_script(self.dir.path(), rung.name, aim)
    }

    /// Puts one load on one rung and reads off what it took.
    pub async fn sample(&self, rung: &Rung, url: &str, script: &Path, load: &Load) -> Fallible<Sample> {
        let server = self.server(rung)?;
        let answered = probe::answered(self.upstream).await?;
        let (before, mock_before) = (server.usage()?, self.mock.usage()?);
        let outcome = load::run(url, script, load.connections, load.seconds).await?;
        let (after, mock_after) = (server.usage()?, self.mock.usage()?);
        let answered = probe::answered(self.upstream).await?.saturating_sub(answered);
        if let Some(fault) = complain(&outcome, answered) {
            let log = server.log_tail();
            return Err(format!("over {} connections: {fault}\n{log}", load.connections).into());
        }
        server.trim_logs();
        let per_request = |from: Usage, to: Usage| {
            to.cpu.saturating_sub(from.cpu).as_secs_f64() * 1e6 / outcome.requests as f64
        };
        Ok(Sample {
            round: load.round,
            connections: load.connections,
            requests: outcome.requests,
            requests_per_second: outcome.rate(),
            p50_us: outcome.p50,
            p99_us: outcome.p99,
            cpu_us: per_request(before, after),
            upstream_cpu_us: per_request(mock_before, mock_after),
            rss_bytes: after.rss,
        })
    }

    /// How everything was started.
    pub fn commands(&self) -> Vec<String> {
        let nginx = self.nginx.as_ref().map(|(server, _)| server);
        let gateway = self.gateway.as_ref().map(|gateway| &gateway.server);
        let servers = [Some(&self.mock), nginx, gateway].into_iter().flatten();
        servers.map(|server| server.command.clone()).collect()
    }

    fn server(&self, rung: &Rung) -> Fallible<&Server> {
        let server = match rung.via {
            Via::Mock => Some(&self.mock),
            Via::Nginx => self.nginx.as_ref().map(|(server, _)| server),
            Via::Gateway(_) => self.gateway.as_ref().map(|gateway| &gateway.server),
        };
        server.ok_or_else(|| format!("nothing runs for {}", rung.name).into())
    }
}

/// A directory for what is started; others may not look into it, since a key is in it.
pub fn work_dir() -> Fallible<TempDir> {
    let owner_only = std::fs::Permissions::from_mode(0o700);
    let dir = tempfile::Builder::new().prefix("airlock-bench-").permissions(owner_only).tempdir();
    dir.context(|| "cannot make a temporary directory".into())
}

/// What is wrong with a load's outcome, if anything.
fn complain(outcome: &load::Outcome, answered: u64) -> Option<String> {
    let load::Outcome { requests, bad_statuses, broken, .. } = outcome;
    if *bad_statuses > 0 || *broken > 0 {
        return Some(format!("{bad_statuses} answers were not 200, {broken} connections broke"));
    }
    if *requests == 0 {
        return Some("there were no answers".to_owned());
    }
    let short = answered < *requests;
    short.then(|| format!("{requests} answers, but the upstream gave only {answered} of them"))
}

/// The models that `plan` asks for and that can be loaded, each once.
fn models(plan: &[&Rung], guests: &Path) -> Vec<Model> {
    let mut models = Vec::new();
    for rung in plan {
        match rung.via {
            Via::Gateway(model)
                if !models.contains(&model) && gateway::missing_guest(&model, guests).is_none() =>
            {
                models.push(model);
            }
            _ => {}
        }
    }
    models
}

async fn start_mock(dir: &Path, events: usize) -> Fallible<(Server, SocketAddr)> {
    let own = std::env::current_exe().context(|| "cannot find this program".into())?;
    let mut command = Command::new(own);
    command.args(["mock", "--listen", "127.0.0.1:0", "--events", &events.to_string()]);
    let mut mock = Server::start("mock", command, dir)?;
    let address = |printed: &str| {
        let line = printed.lines().next()?;
        line.strip_prefix("listening=")?.parse().ok()
    };
    let address = mock.wait_for(MOCK_READY_LIMIT, address).await?;
    Ok((mock, address))
}
