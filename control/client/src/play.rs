//! What a player asks about one play; the play id in the path is all the right it needs.
//! Fetches no media: that is between the player and the appliances.

use control_types::PlayId;
use control_types::fleet::TicketKeys;
use control_types::play::{PlayEvents, PlayTicket, SteeringManifest};
use reqwest::Method;

use crate::{ClientError, ControlClient};

/// Every method fails with [`ClientError`]: unreachable, timed out, refused, or garbled.
impl ControlClient {
    /// `GET /v1/plays/{play}/main.m3u8`.
    pub async fn hls_manifest(&self, play: PlayId) -> Result<String, ClientError> {
        self.play_text(&format!("/v1/plays/{play}/main.m3u8")).await
    }

    /// `GET /v1/plays/{play}/manifest.mpd`.
    pub async fn dash_manifest(&self, play: PlayId) -> Result<String, ClientError> {
        self.play_text(&format!("/v1/plays/{play}/manifest.mpd")).await
    }

    /// `GET /v1/plays/{play}/ticket`: a fresh one for a play under way.
    pub async fn renew_ticket(&self, play: PlayId) -> Result<PlayTicket, ClientError> {
        self.get(&format!("/v1/plays/{play}/ticket")).await
    }

    /// `GET /v1/plays/{play}/steering`; `pathway` is where the player streams from now.
    pub async fn steering(
        &self,
        play: PlayId,
        pathway: Option<&str>,
    ) -> Result<SteeringManifest, ClientError> {
        let path = format!("/v1/plays/{play}/steering");
        match pathway {
            Some(pathway) => self.get_query(&path, &[("_HLS_pathway", pathway)]).await,
            None => self.get(&path).await,
        }
    }

    /// `POST /v1/plays/{play}/events`.
    pub async fn play_events(&self, play: PlayId, body: &PlayEvents) -> Result<(), ClientError> {
        self.order(Method::POST, &format!("/v1/plays/{play}/events"), Some(body)).await
    }

    /// `GET /v1/keys/tickets`, public: what verifies tickets.
    pub async fn ticket_keys(&self) -> Result<TicketKeys, ClientError> {
        self.get("/v1/keys/tickets").await
    }

    /// `GET /healthz`, public: `Ok` once control serves.
    pub async fn health(&self) -> Result<(), ClientError> {
        self.get_bytes("/healthz", &[]).await.map(drop)
    }

    /// `GET /metrics`, public: Prometheus text.
    pub async fn metrics(&self) -> Result<String, ClientError> {
        self.play_text("/metrics").await
    }

    async fn play_text(&self, path: &str) -> Result<String, ClientError> {
        let bytes = self.get_bytes(path, &[]).await?;
        String::from_utf8(bytes).map_err(|error| ClientError::Garbled {
            url: format!("GET {}{path}", self.base_url()),
            status: 200,
            why: error.to_string(),
        })
    }
}
