//! Opens connections: resolves, checks every address, connects to an address that was checked, TLS.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{EgressError, Grant, Origin, OutgoingBody, pool::Sender};

/// How connections are made.
#[derive(Debug, Clone)]
pub struct ConnectSettings {
    /// Longest time for name resolution, TCP and TLS together.
    pub timeout: Duration,
    /// A PEM file of further certificate authorities.
    pub ca_file: Option<PathBuf>,
}

impl Default for ConnectSettings {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), ca_file: None }
    }
}

/// Opens connections. Cheap to clone.
#[derive(Clone)]
pub struct Connector {
    timeout: Duration,
    tls: TlsConnector,
}

impl Connector {
    /// Trusts the system's certificate authorities, Mozilla's, and those of `ca_file`.
    pub fn new(settings: &ConnectSettings) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(file) = &settings.ca_file {
            let unreadable = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
            let certificates = CertificateDer::pem_file_iter(file).map_err(|e| unreadable(&e))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|e| unreadable(&e))?;
                roots.add(certificate).map_err(|e| unreadable(&e))?;
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { timeout: settings.timeout, tls: TlsConnector::from(Arc::new(config)) })
    }

    /// A fresh connection, driven by a task of this thread until it closes.
    pub(super) async fn open(&self, grant: &Grant, origin: &Origin) -> Result<Sender, EgressError> {
        match tokio::time::timeout(self.timeout, self.open_now(grant, origin)).await {
            Ok(done) => done,
            Err(_) => Err(EgressError::Unreachable(format!("no connection within {:?}", self.timeout))),
        }
    }

    async fn open_now(&self, grant: &Grant, origin: &Origin) -> Result<Sender, EgressError> {
        let tcp = dial(grant, origin).await?;
        if let Err(error) = tcp.set_nodelay(true) {
            return Err(EgressError::connect(&error));
        }
        if !origin.is_tls() {
            return http1(TokioIo::new(tcp)).await;
        }
        let name = ServerName::try_from(origin.host().to_owned())
            .map_err(|e| EgressError::Unreachable(e.to_string()))?;
        let stream = self
            .tls
            .connect(name, tcp)
            .await
            .map_err(|e| EgressError::Unreachable(format!("TLS handshake failed: {e}")))?;
        let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        if is_h2 { http2(TokioIo::new(stream)).await } else { http1(TokioIo::new(stream)).await }
    }
}

/// Connects to the first address that answers, of those that the grant permits.
async fn dial(grant: &Grant, origin: &Origin) -> Result<TcpStream, EgressError> {
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((origin.host(), origin.port()))
        .await
        .map_err(|e| EgressError::Unreachable(format!("the name did not resolve: {e}")))?
        .collect();
    let mut last = None;
    for address in addresses {
        if !grant.permits_address(address.ip()) {
            last = Some(EgressError::Denied(format!(
                "{} resolves to an address that is never reachable",
                origin.host()
            )));
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(EgressError::connect(&error)),
        }
    }
    Err(last.unwrap_or_else(|| EgressError::connect(&io::ErrorKind::AddrNotAvailable.into())))
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
