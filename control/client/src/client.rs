//! The connection: builds requests, bounds them in time and size, turns answers into types.
//! Never repeats a request that could change something: only a GET whose connection broke goes
//! twice.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use control_types::ErrorBody;
use reqwest::{Certificate, Method, RequestBuilder, Response, StatusCode, Url, header};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{ClientError, deepest};
use crate::identity::Identified;

/// Time to a TCP connection with keys, milliseconds.
const CONNECT_MS_MAX: u64 = 3_000;
/// Time from the call to the last byte of the answer, milliseconds, unless set otherwise.
const CALL_MS_DEFAULT: u64 = 15_000;
/// Largest answer read, bytes: a fill state of a large fleet is some tens of megabytes.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Idle connections are closed before a usual server or proxy does it, milliseconds.
const IDLE_MS_MAX: u64 = 20_000;

/// Who is calling.
#[derive(Clone)]
pub enum Credential {
    /// Public endpoints and play capabilities only.
    Nobody,
    /// A member's access token (JWT) from sign-up, sign-in or refresh.
    Member(String),
    /// The operator's key.
    Operator(String),
    /// An appliance's own key.
    Appliance(String),
}

impl Credential {
    fn bearer(&self) -> Option<&str> {
        match self {
            Self::Nobody => None,
            Self::Member(key) | Self::Operator(key) | Self::Appliance(key) => Some(key.trim()),
        }
    }
}

impl std::fmt::Debug for Credential {
    /// Says who, never the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nobody => "Nobody",
            Self::Member(_) => "Member(…)",
            Self::Operator(_) => "Operator(…)",
            Self::Appliance(_) => "Appliance(…)",
        })
    }
}

/// What requests go out by.
#[derive(Clone, Debug)]
enum Http {
    /// The same for ever.
    Fixed(reqwest::Client),
    /// As an identity file says.
    Identified(Identified),
}

/// One control plane, as one caller. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct ControlClient {
    http: Http,
    base: String,
    credential: Credential,
    call_ms_max: u64,
}

impl ControlClient {
    /// A client for the control plane at `base_url` (`http[s]://host[:port]`). With `ca_pem` only
    /// certificates under that root are believed; without, those the machine believes.
    /// Connects to nothing yet, so control may start later.
    ///
    /// # Errors
    /// [`ClientError::Url`], [`ClientError::Ca`] or [`ClientError::Key`] when an argument is
    /// unusable.
    pub fn new(
        base_url: &str,
        credential: Credential,
        ca_pem: Option<&[u8]>,
    ) -> Result<Self, ClientError> {
        let base = checked_base(base_url)?;
        if let Some(key) = credential.bearer()
            && !key.bytes().all(|b| b.is_ascii_graphic())
        {
            return Err(ClientError::Key { url: base });
        }
        let ca = |why: String| ClientError::Ca { url: base.clone(), why };
        let mut builder = builder();
        if let Some(pem) = ca_pem {
            let roots = Certificate::from_pem_bundle(pem).map_err(|e| ca(deepest(&e)))?;
            if roots.is_empty() {
                return Err(ca("no certificate in it".to_owned()));
            }
            builder = builder.tls_certs_only(roots);
        } else if base.starts_with("http://") {
            // Without TLS the machine's roots are not needed; a box without any must still start.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|e| ca(deepest(&e)))?;
        Ok(Self { http: Http::Fixed(http), base, credential, call_ms_max: CALL_MS_DEFAULT })
    }

    /// A client for control's port for appliances, as the box that the identity file says. The file
    /// need not be there yet, and is taken up anew when it changes; see [`crate::store_identity`].
    ///
    /// # Errors
    /// [`ClientError::Url`], also for one that is not https. A file that is missing or broken is
    /// [`ClientError::Identity`] of each call.
    pub fn with_identity(base_url: &str, identity: &Path) -> Result<Self, ClientError> {
        let base = checked_base(base_url)?;
        if !base.starts_with("https://") {
            let why = "certificates need https: give control's port for appliances".to_owned();
            return Err(ClientError::Url { url: base, why });
        }
        let http = Http::Identified(Identified::new(identity.to_owned(), base.clone()));
        let credential = Credential::Nobody;
        Ok(Self { http, base, credential, call_ms_max: CALL_MS_DEFAULT })
    }

    /// The same connections as somebody else, for example after a refresh.
    #[must_use]
    pub fn with_credential(&self, credential: Credential) -> Self {
        Self { credential, ..self.clone() }
    }

    /// The same client with another bound on a whole call, milliseconds.
    #[must_use]
    pub fn with_call_ms_max(&self, call_ms_max: u64) -> Self {
        Self { call_ms_max, ..self.clone() }
    }

    /// The configured URL, without a trailing slash.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base
    }

    pub(crate) async fn get<A: DeserializeOwned>(&self, path: &str) -> Result<A, ClientError> {
        self.get_query(path, &[]).await
    }

    pub(crate) async fn get_query<A: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<A, ClientError> {
        let bytes = self.get_bytes(path, query).await?;
        self.decode(&Method::GET, path, &bytes)
    }

    /// A GET that may be tried a second time when the first connection broke under it: a pooled
    /// connection that the server closed meanwhile is not news.
    pub(crate) async fn get_bytes(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<u8>, ClientError> {
        let build = || Ok(self.request(Method::GET, path)?.query(query));
        match self.send(&Method::GET, path, build()?).await {
            Err(ClientError::Unreachable { .. }) => self.send(&Method::GET, path, build()?).await,
            first => first,
        }
    }

    /// A GET of what the caller may hold already; `None` when it has the entity tag `known`.
    /// `takes` are media types in the order of preference; the answer may come packed.
    pub(crate) async fn get_unless<A: DeserializeOwned>(
        &self,
        path: &str,
        known: Option<&str>,
        takes: &str,
    ) -> Result<Option<A>, ClientError> {
        let build = || {
            let request = self.request(Method::GET, path)?;
            let request = request.header(header::ACCEPT, takes);
            let request = request.header(header::ACCEPT_ENCODING, "gzip");
            Ok(match known {
                Some(known) => request.header(header::IF_NONE_MATCH, known),
                None => request,
            })
        };
        let mut answer = self.exchange(&Method::GET, path, build()?).await;
        if let Err(ClientError::Unreachable { .. }) = answer {
            answer = self.exchange(&Method::GET, path, build()?).await;
        }
        let (status, bytes) = answer?;
        // Only to a question that named what it has: anything else that says so is no control.
        if status == StatusCode::NOT_MODIFIED && known.is_some() {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(self.refusal(&Method::GET, path, status, &bytes));
        }
        self.decode(&Method::GET, path, &bytes).map(Some)
    }

    pub(crate) async fn call<B: Serialize + ?Sized, A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &B,
    ) -> Result<A, ClientError> {
        let request = self.request(method.clone(), path)?.json(body);
        let bytes = self.send(&method, path, request).await?;
        self.decode(&method, path, &bytes)
    }

    /// A change that answers 204.
    pub(crate) async fn order<B: Serialize + ?Sized>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<(), ClientError> {
        let mut request = self.request(method.clone(), path)?;
        if let Some(body) = body {
            request = request.json(body);
        }
        self.send(&method, path, request).await.map(drop)
    }

    pub(crate) async fn call_bytes<A: DeserializeOwned>(
        &self,
        path: &str,
        media_type: &'static str,
        body: Vec<u8>,
    ) -> Result<A, ClientError> {
        let request = self.request(Method::POST, path)?;
        let request = request.header(header::CONTENT_TYPE, media_type).body(body);
        let bytes = self.send(&Method::POST, path, request).await?;
        self.decode(&Method::POST, path, &bytes)
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, ClientError> {
        let http = match &self.http {
            Http::Fixed(http) => http.clone(),
            Http::Identified(identified) => identified.client()?,
        };
        let request = http
            .request(method, format!("{}{path}", self.base))
            .timeout(Duration::from_millis(self.call_ms_max));
        Ok(match self.credential.bearer() {
            Some(key) => request.bearer_auth(key),
            None => request,
        })
    }

    async fn send(
        &self,
        method: &Method,
        path: &str,
        request: RequestBuilder,
    ) -> Result<Vec<u8>, ClientError> {
        let (status, bytes) = self.exchange(method, path, request).await?;
        if status.is_success() {
            return Ok(bytes);
        }
        Err(self.refusal(method, path, status, &bytes))
    }

    async fn exchange(
        &self,
        method: &Method,
        path: &str,
        request: RequestBuilder,
    ) -> Result<(StatusCode, Vec<u8>), ClientError> {
        let failed = |error: reqwest::Error| self.failed(method, path, &error);
        let answer = request.send().await.map_err(failed)?;
        let status = answer.status();
        let bytes = self.exchange_read(method, path, answer).await?;
        Ok((status, bytes))
    }

    async fn exchange_read(
        &self,
        method: &Method,
        path: &str,
        mut answer: Response,
    ) -> Result<Vec<u8>, ClientError> {
        let status = answer.status().as_u16();
        let coding = answer.headers().get(header::CONTENT_ENCODING);
        let is_packed = coding.is_some_and(|coding| coding == "gzip");
        let mut bytes = Vec::new();
        while let Some(piece) =
            answer.chunk().await.map_err(|error| self.failed(method, path, &error))?
        {
            if bytes.len() + piece.len() > ANSWER_BYTES_MAX {
                let why = format!("the answer is longer than {ANSWER_BYTES_MAX} bytes");
                return Err(ClientError::Garbled { url: self.named(method, path), status, why });
            }
            bytes.extend_from_slice(&piece);
        }
        if !is_packed {
            return Ok(bytes);
        }
        unpacked(&bytes).map_err(|why| {
            let url = self.named(method, path);
            ClientError::Garbled { url, status, why }
        })
    }

    fn named(&self, method: &Method, path: &str) -> String {
        format!("{method} {}{path}", self.base)
    }

    fn failed(&self, method: &Method, path: &str, error: &reqwest::Error) -> ClientError {
        let url = self.named(method, path);
        if error.is_timeout() && !error.is_connect() {
            return ClientError::TimedOut { url, after_ms: self.call_ms_max };
        }
        // Of an answer that began, its end may be missing: that is another matter.
        let broke = error.is_request() && !error.is_connect();
        ClientError::Unreachable { url, reason: deepest(error), broke }
    }

    fn refusal(
        &self,
        method: &Method,
        path: &str,
        status: StatusCode,
        bytes: &[u8],
    ) -> ClientError {
        let url = self.named(method, path);
        let status = status.as_u16();
        match serde_json::from_slice::<ErrorBody>(bytes) {
            Ok(body) => ClientError::Refused { url, status, body: Box::new(body) },
            Err(error) => ClientError::Garbled { url, status, why: error.to_string() },
        }
    }

    fn decode<A: DeserializeOwned>(
        &self,
        method: &Method,
        path: &str,
        bytes: &[u8],
    ) -> Result<A, ClientError> {
        serde_json::from_slice(bytes).map_err(|error| ClientError::Garbled {
            url: self.named(method, path),
            status: 200,
            why: error.to_string(),
        })
    }
}

/// The bytes of a gzip; no more than an answer may have, whatever it says.
fn unpacked(packed: &[u8]) -> Result<Vec<u8>, String> {
    let (mut bytes, bytes_max) = (Vec::new(), ANSWER_BYTES_MAX as u64);
    let mut reader = flate2::read::GzDecoder::new(packed).take(bytes_max + 1);
    reader.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() > ANSWER_BYTES_MAX {
        return Err(format!("the answer is longer than {ANSWER_BYTES_MAX} bytes"));
    }
    Ok(bytes)
}

/// What every connection has in common.
pub(crate) fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .no_proxy()
        .connect_timeout(Duration::from_millis(CONNECT_MS_MAX))
        .pool_idle_timeout(Duration::from_millis(IDLE_MS_MAX))
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("nightfill/", env!("CARGO_PKG_VERSION")))
}

pub(crate) fn checked_base(base_url: &str) -> Result<String, ClientError> {
    let refuse = |why: &str| ClientError::Url { url: base_url.to_owned(), why: why.to_owned() };
    let url = Url::parse(base_url.trim()).map_err(|error| refuse(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("the scheme is neither http nor https"));
    }
    if url.query().is_some() || url.fragment().is_some() || url.path() != "/" {
        return Err(refuse("it has more than scheme, host and port"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}
