//! nginx in front of the mock, as somebody who cares would set it up.

use crate::error::{Context, Fallible};
use crate::server::Server;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// What to do where it is missing.
pub const REMEDY: &str =
    "nginx is not installed: `apt install nginx-light` or `dnf install nginx` adds the scale";

const PLACES: [&str; 3] = ["nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"];
const READY_LIMIT: Duration = Duration::from_secs(10);
const PORT_TRIES: usize = 3;

/// An nginx that was found.
pub struct Nginx {
    program: &'static str,
    /// The version it reports.
    pub version: String,
}

/// Looks for nginx on the path and in its usual places.
pub fn find() -> Option<Nginx> {
    PLACES.into_iter().find_map(|program| {
        let output = Command::new(program).arg("-v").output().ok()?;
        let version = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Some(Nginx { program, version })
    })
}

impl Nginx {
    /// Starts it on a free port in front of `upstream`.
    pub async fn start(&self, dir: &Path, upstream: SocketAddr) -> Fallible<(Server, SocketAddr)> {
        let mut tries = 1;
        loop {
            // nginx cannot report a port it was given, so one is chosen; another process may be faster.
            match self.start_on(free_address()?, dir, upstream).await {
                Err(error) if tries < PORT_TRIES => eprintln!("nginx, try {tries}: {error}"),
                done => return done,
            }
            tries += 1;
        }
    }

    async fn start_on(
        &self,
        address: SocketAddr,
        dir: &Path,
        upstream: SocketAddr,
    ) -> Fallible<(Server, SocketAddr)> {
        let config = dir.join("nginx.conf");
        std::fs::write(&config, configuration(address, upstream))
            .context(|| format!("cannot write {}", config.display()))?;
        let mut command = Command::new(self.program);
        command.arg("-p").arg(dir).arg("-c").arg(&config);
        command.arg("-e").arg(dir.join("nginx.err"));
        let mut server = Server::start("nginx", command, dir)?.with_log(dir.join("access.log"));
        let listening = |_: &str| TcpStream::connect(address).ok();
        server.wait_for(READY_LIMIT, listening).await?;
        Ok((server, address))
    }
}

fn free_address() -> Fallible<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context(|| "no free port".into())?;
    Ok(listener.local_addr()?)
}

/// As many workers as cores, both connections kept alive, logging on but buffered; streams unbuffered,
/// as events have to arrive when they are sent.
fn configuration(address: SocketAddr, upstream: SocketAddr) -> String {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    // As root, workers would become a user that cannot see the directory.
    let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
    format!(
        "{user}
daemon off;
worker_processes {workers};
pid nginx.pid;
events {{ worker_connections 1024; }}
http {{
  access_log access.log combined buffer=64k flush=1s;
  client_body_temp_path tmp-body;
  proxy_temp_path tmp-proxy;
  fastcgi_temp_path tmp-fastcgi;
  uwsgi_temp_path tmp-uwsgi;
  scgi_temp_path tmp-scgi;
  keepalive_requests 1000000000;
  upstream mock {{ server {upstream}; keepalive 128; keepalive_requests 1000000000; }}
  proxy_http_version 1.1;
  proxy_set_header Connection \"\";
  server {{
    listen {address};
    location /v1/ {{ proxy_pass http://mock; }}
    location /stream/v1/ {{ proxy_buffering off; proxy_pass http://mock; }}
  }}
}}
"
    )
}
