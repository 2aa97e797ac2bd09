//! Names → addresses. Nothing is remembered between look-ups: what is not kept cannot be poisoned by one
//! tenant for another, and the address that was checked is the one that is connected to.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    pin::Pin,
};

use super::{EgressError, Grant, Origin};

/// The addresses of a name, or why there are none.
pub type Resolving = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Turns names into addresses.
pub trait Resolve: Send + Sync {
    /// All addresses of `host`, the preferred ones first. What it needs it takes along: the future outlives
    /// the call.
    fn resolve(&self, host: &str) -> Resolving;
}

/// The system's own resolver, with all that `nsswitch.conf` knows.
pub(super) struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: &str) -> Resolving {
        let host = host.to_owned();
        Box::pin(async move {
            let look_up = move || Ok((host.as_str(), 0).to_socket_addrs()?.map(|a| a.ip()).collect());
            tokio::task::spawn_blocking(look_up).await.map_err(io::Error::other)?
        })
    }
}

/// The addresses of an origin, every one of them permitted. A name that leads to a permitted address and to
/// another as well is refused as a whole: nobody has one by accident.
pub(super) async fn addresses(
    resolver: &dyn Resolve,
    grant: &Grant,
    origin: &Origin,
) -> Result<Vec<SocketAddr>, EgressError> {
    let host = origin.host();
    let found = match host.parse() {
        Ok(address) => vec![address],
        Err(_) => look_up(resolver, grant, host).await?,
    };
    for address in &found {
        grant.policy().check(*address).map_err(|kind| {
            tracing::warn!(tenant = %grant.tenant().name(), host, %address, "a call was refused: {kind}");
            EgressError::Denied(format!("{host} leads to {kind}"))
        })?;
    }
    Ok(found.into_iter().map(|address| SocketAddr::new(address, origin.port())).collect())
}

/// The permit goes along with the look-up, and is held until the look-up ends, whoever still waits for it.
async fn look_up(resolver: &dyn Resolve, grant: &Grant, host: &str) -> Result<Vec<IpAddr>, EgressError> {
    let permit = grant.tenant().lookup().await;
    let resolving = resolver.resolve(host);
    let task = tokio::spawn(async move {
        let found = resolving.await;
        drop(permit);
        found
    });
    let unreachable = |why: String| EgressError::Unreachable(format!("the name did not resolve: {why}"));
    let found =
        task.await.map_err(|e| unreachable(e.to_string()))?.map_err(|e| unreachable(e.to_string()))?;
    if found.is_empty() {
        return Err(unreachable("it has no address".into()));
    }
    Ok(found)
}
