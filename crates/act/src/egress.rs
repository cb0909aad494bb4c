//! The one outgoing HTTP client of the program.
//!
//! It finds the addresses of a host itself, judges every one, and connects to the very addresses that it judged: there
//! is no second look-up that could answer otherwise. It follows no redirect, asks no proxy, keeps no cookie and no
//! connection, and hands on nothing of an answer but its status. That is by construction, not by switches: beneath lie
//! a TCP connection, rustls and one HTTP/1.1 exchange.

use std::{
    fmt,
    net::{IpAddr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

use crate::address::{Class, Network, class, plain};

/// What is read of an answer, headers and body each.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The longest URL.
const URL_BYTES_MAX: usize = 4096;
/// Of a host's addresses this many are tried.
const ADDRESSES_TRIED_MAX: usize = 4;
/// How long a socket of this machine may take where nothing else is said.
const UNIX_TIMEOUT: Duration = Duration::from_secs(15);
const USER_AGENT: &str = concat!("bellwether/", env!("CARGO_PKG_VERSION"));

/// Where Bellwether may connect to, beside public addresses over https. `[egress]` in the settings file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EgressSettings {
    /// What else may be reached: networks (`10.20.0.0/16`, `fd00::/8`) and hosts with their port
    /// (`alertmanager.internal:9093`, `[::1]:9093`). A host opens loopback and private addresses; link-local, multicast
    /// and reserved ones need a network.
    pub allow: Vec<String>,
    /// Public hosts (`host:port`) that may be spoken to in plain http. Private addresses that are allowed need no entry.
    pub plain_http: Vec<String>,
    /// A PEM file of certificate authorities to trust beside the public ones.
    pub ca_file: Option<PathBuf>,
    /// Seconds to connect to one address, TLS included; 1..=60.
    pub connect_timeout_s: u32,
    /// Seconds for the whole exchange; 1..=300.
    pub total_timeout_s: u32,
}

impl Default for EgressSettings {
    fn default() -> EgressSettings {
        EgressSettings {
            allow: Vec::new(),
            plain_http: Vec::new(),
            ca_file: None,
            connect_timeout_s: 5,
            total_timeout_s: 15,
        }
    }
}

/// Finds the addresses of a host; a trait so that tests can answer for it.
#[async_trait::async_trait]
pub trait Resolve: Send + Sync {
    /// All addresses of the host; empty where it has none.
    async fn addresses(&self, host: &str) -> std::io::Result<Vec<IpAddr>>;
}

/// The system's resolver: hosts file, DNS.
pub struct SystemResolver;

#[async_trait::async_trait]
impl Resolve for SystemResolver {
    async fn addresses(&self, host: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, 0)).await?.map(|a| a.ip()).collect())
    }
}

/// A request that is to be sent: a POST. `Debug` shows neither path, nor header values, nor body: they hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub url: String,
    /// Beside `host`, `user-agent` and `content-length`, which the client sets.
    pub headers: Vec<(&'static str, String)>,
    /// What.
    pub body: Vec<u8>,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = url::Url::parse(&self.url).ok().and_then(|u| u.host_str().map(str::to_owned)).unwrap_or_default();
        let names: Vec<_> = self.headers.iter().map(|h| h.0).collect();
        write!(f, "Outgoing {{ host: {host:?}, headers: {names:?}, body: {} bytes }}", self.body.len())
    }
}

/// What came back. The body stays in this room: what a stranger's server says is not shown to anybody.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header `Retry-After` as it came.
    pub(crate) retry_after: Option<String>,
    /// The body of a 2xx answer if it came whole and within the limit.
    pub(crate) body: Option<Bytes>,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer {{ status: {} }}", self.status)
    }
}

/// A request of an actuator: any method, and headers that the settings name. `Debug` shows no more of it than of an
/// [`Outgoing`].
pub(crate) struct Call {
    pub method: Method,
    pub url: String,
    /// Beside `host`, `user-agent`, `connection` and `content-length`.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The whole exchange; `None`: as the settings of [`Egress`] say.
    pub timeout: Option<Duration>,
    /// What is read of the answer's body.
    pub answer_bytes_max: usize,
    /// Whose certificates are good; `None`: as the settings of [`Egress`] say.
    pub trust: Option<Trust>,
}

impl Call {
    /// A call without headers and body.
    pub fn new(method: Method, url: String) -> Call {
        let (headers, body) = (Vec::new(), Vec::new());
        Call { method, url, headers, body, timeout: None, answer_bytes_max: ANSWER_BYTES_MAX, trust: None }
    }

    /// With one more header.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Call {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// With this body.
    pub fn json(mut self, kind: &str, body: &serde_json::Value) -> Call {
        self.body = body.to_string().into_bytes();
        self.header("content-type", kind)
    }
}

/// Authorities that one side is checked against, and no others: a cluster's own.
#[derive(Clone)]
pub(crate) struct Trust(Arc<ClientConfig>);

impl Trust {
    /// The authorities of a PEM file. The error says what is wrong with it.
    pub fn only(ca_file: &Path) -> Result<Trust, String> {
        tls(RootCertStore::empty(), Some(ca_file)).map(Trust)
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust")
    }
}

/// What came back to a [`Call`]. The body stays in this room.
pub(crate) struct Reply {
    pub status: u16,
    pub retry_after: Option<String>,
    /// The body of a 2xx answer if it came whole and within the limit.
    pub body: Option<Bytes>,
}

impl Reply {
    /// The body read as JSON.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(self.body.as_deref()?).ok()
    }
}

/// Why there is no answer; each with a short sentence of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It is not allowed, or can never work: the settings or the URL must change. Nothing was sent.
    Refused(String),
    /// Nothing was sent; another time it may work.
    NotSent(String),
    /// Something was sent and no whole answer came: the other side may have acted on it or not.
    Unanswered(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Failure::Refused(why) | Failure::NotSent(why) | Failure::Unanswered(why)) = self;
        f.write_str(why)
    }
}

impl std::error::Error for Failure {}

/// Where a URL leads, judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The host as the URL standard writes it: lower case, numbers as dotted quads.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether TLS is spoken.
    pub https: bool,
    /// The addresses, all of them allowed.
    pub addresses: Vec<SocketAddr>,
    path: String,
}

impl Target {
    /// The header `Host`.
    fn authority(&self) -> String {
        let usual = if self.https { 443 } else { 80 };
        if self.port == usual { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }
}

/// The client. Cheap to share; holds no connection.
pub struct Egress {
    networks: Vec<Network>,
    hosts: Vec<(String, u16)>,
    plain_http: Vec<(String, u16)>,
    own: Vec<SocketAddr>,
    resolver: Arc<dyn Resolve>,
    tls: Arc<ClientConfig>,
    connect_timeout: Duration,
    total_timeout: Duration,
}

impl Egress {
    /// A client under these settings. `own` are the addresses that this server listens on: they are refused even in an
    /// allowed network, unless `allow` names their very host and port. The error names the setting.
    pub fn new(settings: &EgressSettings, own: &[SocketAddr]) -> Result<Egress, String> {
        let (mut networks, mut hosts) = (Vec::new(), Vec::new());
        for entry in &settings.allow {
            if entry.contains('/') {
                networks.push(Network::parse(entry).map_err(|why| format!("egress.allow: {why}"))?);
            } else {
                hosts.push(host_and_port(entry).map_err(|why| format!("egress.allow: {why}"))?);
            }
        }
        let plain_http = settings.plain_http.iter().map(|entry| host_and_port(entry));
        let plain_http = plain_http.collect::<Result<_, _>>().map_err(|why| format!("egress.plain_http: {why}"))?;
        for (field, value, most) in
            [("connect_timeout_s", settings.connect_timeout_s, 60), ("total_timeout_s", settings.total_timeout_s, 300)]
        {
            if !(1..=most).contains(&value) {
                return Err(format!("egress.{field}: {value} is not within 1..={most}"));
            }
        }
        Ok(Egress {
            networks,
            hosts,
            plain_http,
            own: own.to_vec(),
            resolver: Arc::new(SystemResolver),
            tls: tls(public_roots(), settings.ca_file.as_deref()).map_err(|why| format!("egress.ca_file: {why}"))?,
            connect_timeout: Duration::from_secs(settings.connect_timeout_s.into()),
            total_timeout: Duration::from_secs(settings.total_timeout_s.into()),
        })
    }

    /// The same with another resolver.
    pub fn with_resolver(mut self, resolver: Arc<dyn Resolve>) -> Egress {
        self.resolver = resolver;
        self
    }

    /// Judges a URL as [`Egress::send`] would, and sends nothing. It asks the resolver.
    pub async fn check(&self, url: &str) -> Result<Target, Failure> {
        let url = read_url(url).map_err(Failure::Refused)?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let port = url.port_or_known_default().unwrap_or_default();
        let found = match url.host() {
            Some(url::Host::Ipv4(v4)) => vec![IpAddr::V4(v4)],
            Some(url::Host::Ipv6(v6)) => vec![IpAddr::V6(v6)],
            Some(url::Host::Domain(name)) => {
                let answer = timeout(self.connect_timeout, self.resolver.addresses(name)).await;
                let answer = answer.map_err(|_| Failure::NotSent(format!("looking up {host} took too long")))?;
                answer.map_err(|_| Failure::NotSent(format!("{host} cannot be looked up")))?
            }
            None => Vec::new(),
        };
        if found.is_empty() {
            return Err(Failure::NotSent(format!("{host} has no address")));
        }
        let https = url.scheme() == "https";
        let mut addresses = Vec::new();
        for address in found {
            let address = SocketAddr::new(plain(address), port);
            self.judge(&host, address, https).map_err(Failure::Refused)?;
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses.truncate(ADDRESSES_TRIED_MAX);
        let path = url[url::Position::BeforePath..url::Position::AfterQuery].to_owned();
        Ok(Target { host, port, https, addresses, path })
    }

    /// Sends a request and waits for the answer's status. Ends within the total timeout.
    pub async fn send(&self, outgoing: &Outgoing) -> Result<Answer, Failure> {
        let mut call = Call::new(Method::POST, outgoing.url.clone());
        call.headers = outgoing.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        call.body.clone_from(&outgoing.body);
        let Reply { status, retry_after, body } = self.call(&call).await?;
        Ok(Answer { status, retry_after, body })
    }

    /// The same for any method. Ends within the call's timeout.
    pub(crate) async fn call(&self, call: &Call) -> Result<Reply, Failure> {
        let begun = AtomicBool::new(false);
        match timeout(call.timeout.unwrap_or(self.total_timeout), self.exchange(call, &begun)).await {
            Ok(reply) => reply,
            Err(_) if begun.load(Ordering::Relaxed) => {
                Err(Failure::Unanswered("no answer in time; it may have arrived".into()))
            }
            Err(_) => Err(Failure::NotSent("no connection in time".into())),
        }
    }

    /// One host has one verdict: if any of its addresses is refused it is refused whole, since a name that points to
    /// public and to private addresses at once is not to be trusted with either.
    fn judge(&self, host: &str, address: SocketAddr, https: bool) -> Result<(), String> {
        let ip = address.ip();
        let kind = class(ip);
        let named = self.hosts.iter().any(|(h, p)| h == host && *p == address.port());
        let opened = self.networks.iter().any(|n| n.contains(ip)) || (named && kind.opened_by_name());
        let shown = if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
            format!("{host} is {}", kind.words())
        } else {
            format!("{host} leads to {ip}, {}", kind.words())
        };
        if kind != Class::Public && !opened {
            return Err(format!("{shown}: egress.allow does not list it"));
        }
        if !named && self.is_own(address) {
            return Err(format!("{host}:{} is where this server itself listens", address.port()));
        }
        let plain_http = self.plain_http.iter().any(|(h, p)| h == host && *p == address.port());
        if !https && !plain_http && kind == Class::Public {
            return Err(format!("{shown}: use https, or list it under egress.plain_http"));
        }
        Ok(())
    }

    fn is_own(&self, address: SocketAddr) -> bool {
        self.own.iter().filter(|own| own.port() == address.port()).any(|own| {
            let listens_everywhere = own.ip().is_unspecified();
            plain(own.ip()) == address.ip() || (listens_everywhere && is_of_this_machine(address.ip()))
        })
    }

    async fn exchange(&self, call: &Call, begun: &AtomicBool) -> Result<Reply, Failure> {
        let target = self.check(&call.url).await?;
        let request = request(call, &target.authority(), &target.path).map_err(Failure::Refused)?;
        let tcp = self.connect(&target).await?;
        if !target.https {
            return answer(tcp, request, &target.host, call.answer_bytes_max, begun).await;
        }
        let name = target.host.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(name)
            .map_err(|_| Failure::Refused(format!("{} is no name that a certificate can be for", target.host)))?;
        let tls = call.trust.as_ref().map_or(&self.tls, |trust| &trust.0);
        let handshake = tokio_rustls::TlsConnector::from(tls.clone()).connect(name, tcp);
        let stream = timeout(self.connect_timeout, handshake)
            .await
            .map_err(|_| Failure::NotSent(format!("{} does not complete a TLS handshake", target.host)))?
            .map_err(|error| Failure::NotSent(tls_words(&target.host, &error)))?;
        answer(stream, request, &target.host, call.answer_bytes_max, begun).await
    }

    async fn connect(&self, target: &Target) -> Result<TcpStream, Failure> {
        for address in &target.addresses {
            if let Ok(Ok(stream)) = timeout(self.connect_timeout, TcpStream::connect(address)).await {
                return Ok(stream);
            }
        }
        Err(Failure::NotSent(format!("{}:{} cannot be connected to", target.host, target.port)))
    }
}

/// A call over a socket of this machine, to which no address leads. `call.url` is the path alone.
pub(crate) async fn call_unix(socket: &Path, call: &Call) -> Result<Reply, Failure> {
    let begun = AtomicBool::new(false);
    let shown = socket.display().to_string();
    let exchange = async {
        let stream = tokio::net::UnixStream::connect(socket).await;
        let stream = stream.map_err(|error| Failure::NotSent(format!("{shown} cannot be connected to: {error}")))?;
        let request = request(call, "localhost", &call.url).map_err(Failure::Refused)?;
        answer(stream, request, &shown, call.answer_bytes_max, &begun).await
    };
    match timeout(call.timeout.unwrap_or(UNIX_TIMEOUT), exchange).await {
        Ok(reply) => reply,
        Err(_) if begun.load(Ordering::Relaxed) => {
            Err(Failure::Unanswered("no answer in time; it may have arrived".into()))
        }
        Err(_) => Err(Failure::NotSent(format!("{shown} takes no connection in time"))),
    }
}

/// One exchange over a connection of its own.
async fn answer<S>(
    stream: S,
    request: http::Request<Full<Bytes>>,
    host: &str,
    body_bytes_max: usize,
    begun: &AtomicBool,
) -> Result<Reply, Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let lost = || Failure::Unanswered(format!("{host} broke off before it answered; it may have arrived"));
    let mut builder = hyper::client::conn::http1::Builder::new();
    builder.max_buf_size(ANSWER_BYTES_MAX).max_headers(100);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|_| lost())?;
    // Dropped with this function's future, and then the connection is closed.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    begun.store(true, Ordering::Relaxed);
    let response = sender.send_request(request).await.map_err(|error| match error.is_canceled() {
        true => Failure::NotSent(format!("{host} closed the connection before the request")),
        false => lost(),
    })?;
    let retry_after = response.headers().get(http::header::RETRY_AFTER).and_then(|v| v.to_str().ok());
    let (status, retry_after) = (response.status(), retry_after.map(str::to_owned));
    let body = match status.is_success() {
        true => Limited::new(response.into_body(), body_bytes_max).collect().await.ok().map(|b| b.to_bytes()),
        false => None,
    };
    Ok(Reply { status: status.as_u16(), retry_after, body })
}

fn request(call: &Call, authority: &str, path: &str) -> Result<http::Request<Full<Bytes>>, String> {
    let mut builder = http::Request::builder()
        .method(call.method.clone())
        .uri(path)
        .header(http::header::HOST, authority)
        .header(http::header::USER_AGENT, USER_AGENT)
        .header(http::header::CONNECTION, "close");
    for (name, value) in &call.headers {
        builder = builder.header(name.as_str(), value);
    }
    let body = Full::new(Bytes::from(call.body.clone()));
    builder.body(body).map_err(|_| "a header or the path holds characters that HTTP cannot carry".to_owned())
}

/// Reads a URL as the URL standard does, and refuses what two readers could understand differently.
fn read_url(text: &str) -> Result<url::Url, String> {
    if text.len() > URL_BYTES_MAX {
        return Err(format!("the URL is longer than {URL_BYTES_MAX} bytes"));
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
        return Err("the URL holds white space, control characters or a backslash".into());
    }
    let url = url::Url::parse(text).map_err(|error| format!("not a URL: {error}"))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(format!("only https and http are spoken, not {}", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() || authority(text).contains('@') {
        return Err("the URL holds a user's name or an @ before its path".into());
    }
    if url.port_or_known_default() == Some(0) {
        return Err("port 0 cannot be connected to".into());
    }
    Ok(url)
}

fn authority(text: &str) -> &str {
    let rest = text.split_once(':').map_or(text, |(_, rest)| rest).trim_start_matches('/');
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Reads `host:port`, `1.2.3.4:port` or `[::1]:port`.
fn host_and_port(text: &str) -> Result<(String, u16), String> {
    let shape =
        || format!("{text:?} is neither a network (10.0.0.0/8) nor a host with its port (name:9093, [::1]:9093)");
    let (_, port) = text.rsplit_once(':').ok_or_else(shape)?;
    let port: u16 = port.parse().ok().filter(|port| *port != 0).ok_or_else(shape)?;
    let url = read_url(&format!("http://{text}")).map_err(|_| shape())?;
    let alone = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && !text.ends_with('/');
    url.host_str().filter(|_| alone).map(|host| (host.to_owned(), port)).ok_or_else(shape)
}

/// Whether this machine has the address: only then can a socket be bound to it.
fn is_of_this_machine(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// Mozilla's authorities, which are built in, so that a bare container needs no certificates.
fn public_roots() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

/// Trusts `roots`, and the authorities of `ca_file`.
fn tls(mut roots: RootCertStore, ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    if let Some(path) = ca_file {
        let shown = path.display();
        let read = CertificateDer::pem_file_iter(path).map_err(|e| format!("cannot read {shown}: {e}"))?;
        let before = roots.len();
        for certificate in read {
            let certificate = certificate.map_err(|e| format!("{shown} is not PEM: {e}"))?;
            roots.add(certificate).map_err(|e| format!("{shown} holds a certificate that cannot be used: {e}"))?;
        }
        if roots.len() == before {
            return Err(format!("{shown} holds no certificate"));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|e| e.to_string())?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn tls_words(host: &str, error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)) => {
            format!("the certificate of {host} is from an authority that is not trusted (see egress.ca_file)")
        }
        Some(rustls::Error::InvalidCertificate(_)) => format!("the certificate of {host} is not valid for it"),
        _ => format!("{host} does not complete a TLS handshake"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_be_meant_are_named() {
        let with = |change: fn(&mut EgressSettings)| {
            let mut settings = EgressSettings::default();
            change(&mut settings);
            Egress::new(&settings, &[]).err().unwrap_or_default()
        };
        assert_eq!(with(|_| ()), "");
        assert_eq!(with(|s| s.allow = vec!["localhost:9093".into(), "[::1]:9093".into(), "10.0.0.0/8".into()]), "");
        for bad in
            ["localhost", "10.0.0.1", "a@b:1", "http://x:1", "x:0", "x:70000", "x:1/y", "10.0.0.0/40", "", "[::1]"]
        {
            let error = match Egress::new(&EgressSettings { allow: vec![bad.into()], ..Default::default() }, &[]) {
                Ok(_) => panic!("{bad} was taken"),
                Err(error) => error,
            };
            assert!(error.starts_with("egress.allow: "), "{error}");
        }
        assert!(with(|s| s.plain_http = vec!["x".into()]).starts_with("egress.plain_http: "));
        assert!(with(|s| s.connect_timeout_s = 0).starts_with("egress.connect_timeout_s: "));
        assert!(with(|s| s.total_timeout_s = 1000).starts_with("egress.total_timeout_s: "));
        assert!(with(|s| s.ca_file = Some("/nonexistent".into())).starts_with("egress.ca_file: "));
        assert!(with(|s| s.ca_file = Some("/dev/null".into())).contains("holds no certificate"));
    }

    #[test]
    fn nothing_secret_is_shown() {
        let outgoing = Outgoing {
            url: "https://hooks.example.com/T0/secret".into(),
            headers: vec![("authorization", "Bearer secret".into())],
            body: b"secret".to_vec(),
        };
        let shown = format!("{outgoing:?}");
        assert!(shown.contains("hooks.example.com") && !shown.contains("secret"), "{shown}");
    }
}
