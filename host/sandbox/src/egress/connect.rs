//! Opens connections: resolves, checks every address, connects to an address that was checked, TLS.

use std::{
    fmt, io,
    path::PathBuf,
    sync::{Arc, PoisonError},
    time::Duration,
};

use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::DuplexStream,
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_rustls::TlsConnector;

use super::{
    EgressError, Grant, Origin, OutgoingBody,
    counted::Counted,
    pool::Sender,
    resolve::{self, Resolve, SystemResolver},
};
use crate::Tenant;

/// TLS sessions that a tenant's connections may resume.
const TLS_SESSIONS: usize = 64;

/// How connections are made.
#[derive(Clone)]
pub struct ConnectSettings {
    /// Longest time for name resolution, TCP and TLS together.
    pub timeout: Duration,
    /// A PEM file of further certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// Outbound calls that may be open at one moment, of all tenants together.
    pub max_open: usize,
    /// Who turns names into addresses.
    pub resolver: Arc<dyn Resolve>,
}

impl Default for ConnectSettings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            ca_file: None,
            max_open: 8192,
            resolver: Arc::new(SystemResolver),
        }
    }
}

/// Opens connections. Cheap to clone; clones share the count of open calls.
#[derive(Clone)]
pub struct Connector {
    timeout: Duration,
    tls: Arc<ClientConfig>,
    resolver: Arc<dyn Resolve>,
    open: Arc<Semaphore>,
    max_open: usize,
    stand_in: Option<Arc<dyn StandIn>>,
}

/// Answers in the place of every backend, without a network.
pub trait StandIn: Send + Sync {
    /// A fresh connection to it, on which it speaks HTTP/1.1. Called within a runtime.
    fn connect(&self) -> DuplexStream;
}

/// What an outbound call holds until the last byte of its response: one of its tenant's, one of all.
pub(super) struct CallPermit {
    _tenants: OwnedSemaphorePermit,
    _everybodys: OwnedSemaphorePermit,
}

impl Connector {
    /// Trusts the system's certificate authorities, Mozilla's, and those of `ca_file`.
    pub fn new(settings: &ConnectSettings) -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots(settings)?)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let max_open = settings.max_open.min(Semaphore::MAX_PERMITS);
        Ok(Self {
            timeout: settings.timeout,
            tls: Arc::new(config),
            resolver: Arc::clone(&settings.resolver),
            open: Arc::new(Semaphore::new(max_open)),
            max_open,
            stand_in: None,
        })
    }

    /// The same, with every connection going to `stand_in`: no name is looked up and no socket opened, whatever a grant
    /// says.
    #[must_use]
    pub fn with_stand_in(&self, stand_in: Arc<dyn StandIn>) -> Self {
        Self { stand_in: Some(stand_in), ..self.clone() }
    }

    /// Outbound calls that are open at this moment.
    pub fn open_calls(&self) -> usize {
        self.max_open.saturating_sub(self.open.available_permits())
    }

    /// Outbound calls that may be open at one moment.
    pub fn max_open_calls(&self) -> usize {
        self.max_open
    }

    /// Takes an outbound call, or says at once that there is none.
    pub(super) fn call(&self, tenant: &Tenant) -> Result<CallPermit, EgressError> {
        let tenants = tenant.outbound_call()?;
        let everybodys =
            Arc::clone(&self.open).try_acquire_owned().map_err(|_| EgressError::Busy(self.max_open))?;
        Ok(CallPermit { _tenants: tenants, _everybodys: everybodys })
    }

    /// A fresh connection, driven by a task of this thread until it closes.
    pub(super) async fn open(&self, grant: &Grant, origin: &Origin) -> Result<Sender, EgressError> {
        match tokio::time::timeout(self.timeout, self.open_now(grant, origin)).await {
            Ok(done) => done,
            Err(_) => Err(EgressError::Unreachable(format!("no connection within {:?}", self.timeout))),
        }
    }

    async fn open_now(&self, grant: &Grant, origin: &Origin) -> Result<Sender, EgressError> {
        if let Some(stand_in) = &self.stand_in {
            return http1(TokioIo::new(stand_in.connect())).await;
        }
        let tcp = self.dial(grant, origin).await?;
        if let Err(error) = tcp.set_nodelay(true) {
            return Err(EgressError::connect(&error));
        }
        let tcp = Counted::new(tcp, grant.tenant());
        if !origin.is_tls() {
            return http1(TokioIo::new(tcp)).await;
        }
        let name = ServerName::try_from(origin.host().to_owned())
            .map_err(|e| EgressError::Unreachable(e.to_string()))?;
        let stream = self
            .tls_of(grant.tenant())
            .connect(name, tcp)
            .await
            .map_err(|e| EgressError::Unreachable(format!("TLS handshake failed: {e}")))?;
        let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        if is_h2 { http2(TokioIo::new(stream)).await } else { http1(TokioIo::new(stream)).await }
    }

    /// Each tenant has sessions of its own: a server that keeps something with a session keeps it for one.
    fn tls_of(&self, tenant: &Tenant) -> TlsConnector {
        let mut tls = tenant.tls.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let mut config = ClientConfig::clone(&self.tls);
            config.resumption = Resumption::in_memory_sessions(TLS_SESSIONS);
            TlsConnector::from(Arc::new(config))
        };
        tls.get_or_insert_with(make).clone()
    }

    /// Connects to the first address that answers, all of them being permitted.
    async fn dial(&self, grant: &Grant, origin: &Origin) -> Result<TcpStream, EgressError> {
        let mut last = None;
        for address in resolve::addresses(&*self.resolver, grant, origin).await? {
            match TcpStream::connect(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(error),
            }
        }
        Err(EgressError::connect(&last.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into())))
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connector({} open)", self.open_calls())
    }
}

fn roots(settings: &ConnectSettings) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = &settings.ca_file {
        let unreadable = |e: &dyn fmt::Display| format!("{}: {e}", file.display());
        let certificates = CertificateDer::pem_file_iter(file).map_err(|e| unreadable(&e))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|e| unreadable(&e))?;
            roots.add(certificate).map_err(|e| unreadable(&e))?;
        }
    }
    Ok(roots)
}

async fn http1<T>(io: TokioIo<T>) -> Result<Sender, EgressError>
where
    TokioIo<T>: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (sender, connection) = hyper::client::conn::http1::Builder::new()
        .handshake::<_, OutgoingBody>(io)
        .await
        .map_err(|e| EgressError::hyper(&e))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an upstream connection ended");
        }
    });
    Ok(Sender::H1(sender))
}

async fn http2<T>(io: TokioIo<T>) -> Result<Sender, EgressError>
where
    TokioIo<T>: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .handshake::<_, OutgoingBody>(io)
        .await
        .map_err(|e| EgressError::hyper(&e))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an upstream connection ended");
        }
    });
    Ok(Sender::H2(sender))
}
