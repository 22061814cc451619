//! The servers under measurement: `oca lab` and nginx, one worker each, same files, same
//! certificate. CPU time is read from /proc for the whole process.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nightfill_harness::nodes::free_port;
use nightfill_harness::pki::DemoCa;
use nightfill_harness::process::Program;
use nightfill_harness::{Binaries, Trouble};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

/// Linux counts process time in hundredths of a second on every architecture we run on.
const TICKS_PER_SECOND: f64 = 100.0;
const UP_WITHIN: Duration = Duration::from_secs(10);

/// A server that listens.
pub struct Server {
    /// `127.0.0.1:port`.
    pub address: String,
    /// How to trust it; absent when it speaks plain HTTP.
    pub trust: Option<Arc<ClientConfig>>,
    running: Running,
}

enum Running {
    Oca(Program),
    Nginx(Child),
}

impl Server {
    /// `oca lab` with one worker.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn oca(bins: &Path, files: &Path, folder: &Path, tls: bool) -> Result<Self, Trouble> {
        let mut command = Command::new(Binaries::in_folder(bins).path("oca")?);
        command.arg("lab").arg(files).args(["--listen", "127.0.0.1:0", "--workers", "1", "--json"]);
        let mut trust = None;
        if tls {
            let ca = DemoCa::make(folder)?;
            let server = ca.server("oca", folder)?;
            command.arg("--tls").arg(&server.certificate).arg(&server.key);
            trust = Some(trusting(&ca.certificate)?);
        }
        let program = Program::start("oca lab", &mut command, &folder.join("oca.log"))?;
        let address = program.ready_text("listening")?;
        Ok(Self { address, trust, running: Running::Oca(program) })
    }

    /// nginx with one process, sendfile, an open-file cache, and 16 KiB TLS records.
    ///
    /// # Errors
    /// When it is not installed or does not come up.
    pub fn nginx(files: &Path, folder: &Path, tls: bool) -> Result<Self, Trouble> {
        let address = format!("127.0.0.1:{}", free_port()?);
        let mut trust = None;
        let mut listen = format!("listen {address};");
        if tls {
            let ca = DemoCa::make(folder)?;
            let server = ca.server("nginx", folder)?;
            listen = format!(
                "listen {address} ssl; ssl_certificate {}; ssl_certificate_key {}; \
                 ssl_protocols TLSv1.3; ssl_buffer_size 16k;",
                server.certificate.display(),
                server.key.display()
            );
            trust = Some(trusting(&ca.certificate)?);
        }
        let config = folder.join("nginx.conf");
        let text = format!(
            "daemon off; master_process off; pid {0}/nginx.pid; error_log {0}/nginx.log;\n\
             events {{ worker_connections 4096; }}\n\
             http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;\n\
             open_file_cache max=10000 inactive=60s; open_file_cache_valid 60s;\n\
             client_body_temp_path {0}; proxy_temp_path {0}; fastcgi_temp_path {0};\n\
             uwsgi_temp_path {0}; scgi_temp_path {0};\n\
             server {{ {listen} root {1}; }} }}\n",
            folder.display(),
            files.display()
        );
        std::fs::write(&config, text)?;
        let mut command = Command::new("nginx");
        command.arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(Stdio::null()).spawn().map_err(|error| {
            Trouble(format!("cannot start nginx ({error}): apt-get install nginx-light"))
        })?;
        let server = Self { address, trust, running: Running::Nginx(child) };
        let until = Instant::now() + UP_WITHIN;
        while std::net::TcpStream::connect(&server.address).is_err() {
            if Instant::now() > until {
                let log = std::fs::read_to_string(folder.join("nginx.log")).unwrap_or_default();
                return Err(Trouble(format!("nginx did not come up: {log}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// User and system time of the process so far.
    ///
    /// # Errors
    /// When /proc does not know it any more.
    pub fn cpu_seconds(&self) -> Result<f64, Trouble> {
        let pid = match &self.running {
            Running::Oca(program) => program.pid(),
            Running::Nginx(child) => child.id(),
        };
        let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name in parentheses may hold spaces; fields are counted from behind it.
        let rest = text.rsplit(')').next().unwrap_or_default();
        let ticks: f64 = rest
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<f64>().ok())
            .sum();
        Ok(ticks / TICKS_PER_SECOND)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Running::Nginx(child) = &mut self.running {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn trusting(authority: &Path) -> Result<Arc<ClientConfig>, Trouble> {
    let certificate = CertificateDer::from_pem_file(authority)
        .map_err(|error| Trouble(format!("{}: {error}", authority.display())))?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate).map_err(|error| Trouble(error.to_string()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Trouble(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
