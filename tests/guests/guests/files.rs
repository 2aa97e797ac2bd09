//! Tries what needs files or sockets, by Rust's standard library, and tells how it went.

use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

use airlock_adaptor::serde_json::json;
use airlock_adaptor::{AdaptorError, EndpointAdaptor, EndpointInfo, Reply, Task, config};

#[derive(airlock_adaptor::serde::Deserialize)]
#[serde(crate = "airlock_adaptor::serde")]
struct Config {
    /// A server that is there to be reached.
    target: String,
}

struct Files;

fn tell<T>(outcome: std::io::Result<T>) -> String {
    outcome.map_or_else(|error| error.kind().to_string(), |_| "worked".into())
}

impl EndpointAdaptor for Files {
    fn validate(endpoint: &EndpointInfo) -> Result<(), AdaptorError> {
        config::<Config>(endpoint).map(drop)
    }

    fn submit_task(endpoint: EndpointInfo, _task: Task) -> Result<Reply, AdaptorError> {
        let target = config::<Config>(&endpoint)?.target;
        let told = json!({
            "read": tell(std::fs::read("/etc/passwd")),
            "list": tell(std::fs::read_dir("/")),
            "write": tell(std::fs::write("/tmp/airlock-was-here", "x")),
            "resolve": tell(("localhost", 80).to_socket_addrs()),
            "connect": tell(TcpStream::connect(&target)),
            "listen": tell(TcpListener::bind("127.0.0.1:0")),
            "datagrams": tell(UdpSocket::bind("127.0.0.1:0")),
        });
        Ok(Reply::Body(told.to_string().into_bytes()))
    }
}

airlock_adaptor::export_endpoint!(Files);
