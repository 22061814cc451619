//! The servers under measurement, one worker each, on the same core, with the same files and the
//! same certificate: `oca lab`, nginx, and the bare sendfile loop. Starts and stops; measures
//! nothing.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nightfill_harness::nodes::free_port;
use nightfill_harness::pki::{DemoCa, ServerFiles};
use nightfill_harness::process::Program;
use nightfill_harness::{Binaries, Trouble};
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::cases::Cover;
use crate::machine::SERVER_CORE;

const UP_WITHIN: Duration = Duration::from_secs(10);
/// Connections that any of them must take unless a case says otherwise, with room to spare.
pub const ROOM: usize = 10_000;
/// Least memory of `oca lab` for hot chunks.
const HOT_SET_BYTES: u64 = 256 << 20;

/// What every server is started with.
pub struct Stage {
    /// Where the built programs are.
    pub bins: PathBuf,
    /// For configs and logs.
    pub folder: PathBuf,
    /// Chooses `oca`'s engine; its own choice when absent.
    pub engine: Option<String>,
    /// `oca`'s memory for hot chunks, bytes; as much as the case needs when absent.
    pub hot_set: Option<u64>,
    certificate: ServerFiles,
    authority: PathBuf,
}

/// A server that listens.
pub struct Server {
    /// `127.0.0.1:port`.
    pub address: String,
    /// How to trust it; absent when it speaks plain HTTP.
    pub trust: Option<Arc<ClientConfig>>,
    running: Running,
}

enum Running {
    Program(Program),
    Nginx(Child),
}

impl Stage {
    /// Makes the certificate that all of them show.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn set(
        bins: &Path,
        folder: &Path,
        engine: Option<String>,
        hot_set: Option<u64>,
    ) -> Result<Self, Trouble> {
        let ca = DemoCa::make(folder)?;
        Ok(Self {
            bins: bins.to_path_buf(),
            folder: folder.to_path_buf(),
            engine,
            hot_set,
            certificate: ca.server("bench", folder)?,
            authority: ca.certificate.clone(),
        })
    }

    fn trust(&self, cover: Cover) -> Result<Option<Arc<ClientConfig>>, Trouble> {
        let suite = match cover {
            Cover::Plain => return Ok(None),
            Cover::Aes128 => cipher_suite::TLS13_AES_128_GCM_SHA256,
            Cover::Aes256 => cipher_suite::TLS13_AES_256_GCM_SHA384,
        };
        let authority = &self.authority;
        let certificate = CertificateDer::from_pem_file(authority)
            .map_err(|error| Trouble(format!("{}: {error}", authority.display())))?;
        let mut roots = RootCertStore::empty();
        roots.add(certificate).map_err(|error| Trouble(error.to_string()))?;
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites = vec![suite];
        // The load's own share of a handshake, the same for every server.
        provider.kx_groups = vec![kx_group::X25519];
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Trouble(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.enable_secret_extraction = true;
        Ok(Some(Arc::new(config)))
    }

    /// `oca lab` with one worker and room for as many connections. Where `set_bytes` is the working
    /// set, it gets a quarter more memory than that: nginx has all of it in the page cache, and a
    /// server that must read from the disk what the other has in memory would be measured as disk.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn oca(
        &self,
        files: &Path,
        cover: Cover,
        room: usize,
        set_bytes: u64,
    ) -> Result<Server, Trouble> {
        let hot_set = self.hot_set.unwrap_or(set_bytes + set_bytes / 4).max(HOT_SET_BYTES);
        let mut command = on_its_core(&Binaries::in_folder(&self.bins).path("oca")?);
        command.arg("lab").arg(files).args(["--listen", "127.0.0.1:0", "--workers", "1", "--json"]);
        command.args(["--connections", &room.to_string()]);
        command.args(["--hot-set-bytes", &hot_set.to_string()]);
        if let Some(engine) = &self.engine {
            command.args(["--engine", engine]);
        }
        if cover != Cover::Plain {
            command.arg("--tls").arg(&self.certificate.certificate).arg(&self.certificate.key);
        }
        self.program("oca lab", &mut command, cover)
    }

    /// `oca lab` with one worker over a fast and a slow disk, plain.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn oca_on_two(&self, fast: &Path, slow: &Path, hot_set: u64) -> Result<Server, Trouble> {
        let mut command = on_its_core(&Binaries::in_folder(&self.bins).path("oca")?);
        command.arg("lab").arg(fast).arg("--hdd").arg(slow);
        command.args(["--listen", "127.0.0.1:0", "--workers", "1", "--json"]);
        command.args(["--hot-set-bytes", &hot_set.to_string()]);
        if let Some(engine) = &self.engine {
            command.args(["--engine", engine]);
        }
        self.program("oca lab", &mut command, Cover::Plain)
    }

    /// The bare loop, plain only.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn sendfile_loop(&self, files: &Path) -> Result<Server, Trouble> {
        let mut command = on_its_core(&std::env::current_exe()?);
        command.arg("sendfile-loop").arg(files);
        self.program("sendfile-loop", &mut command, Cover::Plain)
    }

    fn program(&self, name: &str, command: &mut Command, cover: Cover) -> Result<Server, Trouble> {
        let log = self.folder.join(format!("{}.log", name.replace(' ', "-")));
        let program = Program::start(name, command, &log)?;
        let address = program.ready_text("listening")?;
        Ok(Server { address, trust: self.trust(cover)?, running: Running::Program(program) })
    }

    /// nginx with one process, sendfile, an open-file cache, and 16 KiB TLS records.
    ///
    /// # Errors
    /// When it is not installed or does not come up.
    pub fn nginx(
        &self,
        files: &Path,
        cover: Cover,
        pace_bps: Option<u64>,
    ) -> Result<Server, Trouble> {
        let limit = pace_bps.map_or(String::new(), |bps| format!("limit_rate {};", bps / 8));
        self.nginx_with(files, cover, ROOM, &limit)
    }

    /// nginx with room for as many connections.
    ///
    /// # Errors
    /// As `nginx`.
    pub fn nginx_for(&self, files: &Path, cover: Cover, room: usize) -> Result<Server, Trouble> {
        self.nginx_with(files, cover, room, "")
    }

    /// nginx as it is run in front of slow disks: reads by a pool of threads.
    ///
    /// # Errors
    /// As `nginx`.
    pub fn nginx_with_threads(&self, files: &Path, cover: Cover) -> Result<Server, Trouble> {
        self.nginx_with(files, cover, ROOM, "aio threads;")
    }

    fn nginx_with(
        &self,
        files: &Path,
        cover: Cover,
        room: usize,
        more: &str,
    ) -> Result<Server, Trouble> {
        let address = format!("127.0.0.1:{}", free_port()?);
        let config = self.folder.join("nginx.conf");
        let listen = self.listen(&address, cover);
        let text = format!(
            "daemon off; master_process off; pid {0}/nginx.pid; error_log {0}/nginx.log;\n\
             worker_rlimit_nofile {2};\n\
             events {{ worker_connections {3}; }}\n\
             http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000;\n\
             keepalive_timeout 3600s;\n\
             open_file_cache max=10000 inactive=600s; open_file_cache_valid 600s; {more}\n\
             client_body_temp_path {0}; proxy_temp_path {0}; fastcgi_temp_path {0};\n\
             uwsgi_temp_path {0}; scgi_temp_path {0};\n\
             server {{ {listen} root {1}; }} }}\n",
            self.folder.display(),
            files.display(),
            room * 2,
            room,
        );
        std::fs::write(&config, text)?;
        let mut command = on_its_core(Path::new("nginx"));
        command.arg("-c").arg(&config).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.stderr(Stdio::null()).spawn().map_err(|error| {
            Trouble(format!("cannot start nginx ({error}): apt-get install nginx-light"))
        })?;
        let trust = self.trust(cover)?;
        let server = Server { address, trust, running: Running::Nginx(child) };
        let until = Instant::now() + UP_WITHIN;
        while std::net::TcpStream::connect(&server.address).is_err() {
            if Instant::now() > until {
                let log = std::fs::read_to_string(self.folder.join("nginx.log"));
                let log = log.unwrap_or_default();
                return Err(Trouble(format!("nginx did not come up: {log}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    fn listen(&self, address: &str, cover: Cover) -> String {
        let suite = match cover {
            Cover::Plain => return format!("listen {address} backlog=8192;"),
            Cover::Aes128 => "TLS_AES_128_GCM_SHA256",
            Cover::Aes256 => "TLS_AES_256_GCM_SHA384",
        };
        format!(
            "listen {address} ssl backlog=8192; ssl_certificate {}; ssl_certificate_key {}; \
             ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites {suite}; ssl_buffer_size 16k;",
            self.certificate.certificate.display(),
            self.certificate.key.display()
        )
    }
}

/// `program`, tied to the servers' core for all its threads.
fn on_its_core(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &SERVER_CORE.to_string()]).arg(program);
    command
}

impl Server {
    /// The process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        match &self.running {
            Running::Program(program) => program.pid(),
            Running::Nginx(child) => child.id(),
        }
    }

    /// What it said about itself when it was ready, if it says such things.
    #[must_use]
    pub fn said(&self, field: &str) -> Option<String> {
        match &self.running {
            Running::Program(program) => program.ready_text(field).ok(),
            Running::Nginx(_) => None,
        }
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
