//! Looks at what is on the disks and behind the ports, for a story's expectations.
//! Reads only; a story that wants to break something does it itself.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use control_types::fleet::DiskClass;
use control_types::play::{NewTicket, SteeringManifest, TicketScope};
use control_types::{ObjectId, PlayId, TitleId};
use oca_store::{Index, Volume};
use reqwest::Certificate;

use crate::nodes::ApplianceNode;
use crate::trouble::Trouble;
use crate::world::World;

/// Query of a request that no box sends on any more.
const SENT_ON: &str = "?hop=2";

impl ApplianceNode {
    fn index(&self) -> Result<Arc<Index>, Trouble> {
        let [ssd, hdd] = self.volumes();
        let open = |path, class| {
            Volume::open(path, class).map_err(|error| Trouble(format!("open a volume: {error}")))
        };
        let volumes = [open(ssd, DiskClass::Ssd)?, open(hdd, DiskClass::Hdd)?];
        Ok(Arc::new(Index::load(&volumes).index))
    }

    /// Objects that are published on this box, by its own journals.
    ///
    /// # Errors
    /// When a volume cannot be read.
    pub fn published(&self) -> Result<HashSet<ObjectId>, Trouble> {
        Ok(self.index()?.held().iter().map(|held| held.object).collect())
    }

    /// The file of an object, and where its payload begins.
    ///
    /// # Errors
    /// When this box does not hold it.
    pub fn object_file(&self, object: &ObjectId) -> Result<(PathBuf, u64), Trouble> {
        let index = self.index()?;
        let missing = || Trouble(format!("{} does not hold {object}", self.spec.id));
        let entry = index.find(object).ok_or_else(missing)?;
        Ok((entry.path(), entry.payload_offset()))
    }

    /// The bytes of an object as they lie on this box's disk.
    ///
    /// # Errors
    /// When this box does not hold it or it cannot be read.
    pub fn payload(&self, object: &ObjectId) -> Result<Vec<u8>, Trouble> {
        let (path, payload_at) = self.object_file(object)?;
        let mut bytes = std::fs::read(path)?;
        let start = usize::try_from(payload_at).unwrap_or(usize::MAX).min(bytes.len());
        bytes.drain(..start);
        Ok(bytes)
    }

    /// The sum of a counter over all its labels.
    ///
    /// # Errors
    /// When the box does not export it.
    pub async fn counter(&self, name: &str) -> Result<u64, Trouble> {
        let text = self.metrics().await?;
        let mut sum = None;
        for line in text.lines().filter(|line| line.starts_with(name)) {
            let rest = &line[name.len()..];
            if rest.starts_with([' ', '{'])
                && let Some(value) = line.rsplit(' ').next().and_then(|v| v.parse::<f64>().ok())
            {
                sum = Some(sum.unwrap_or(0.0) + value);
            }
        }
        // Counters are whole numbers below 2^53; Prometheus writes them as floats.
        let sum = sum.ok_or_else(|| Trouble(format!("no {name} in:\n{text}")))?;
        Ok(sum as u64)
    }
}

impl World {
    /// The library's own copy of an object.
    ///
    /// # Errors
    /// When the origin does not hold it.
    pub fn library(&self, object: &ObjectId) -> Result<Vec<u8>, Trouble> {
        self.origin.payload(object)
    }

    /// What is said at a steering URL.
    ///
    /// # Errors
    /// When it is not answered, or not with a manifest.
    pub async fn steering_of(&self, url: &str) -> Result<SteeringManifest, Trouble> {
        let answer = self.browser()?.get(url).send().await?.error_for_status()?;
        Ok(serde_json::from_slice(&answer.bytes().await?)?)
    }

    fn browser(&self) -> Result<reqwest::Client, Trouble> {
        let root = Certificate::from_pem(self.ca.pem.as_bytes())?;
        Ok(reqwest::Client::builder().no_proxy().tls_certs_only([root]).build()?)
    }

    async fn member_url(
        &self,
        node: &ApplianceNode,
        title: &TitleId,
        object: &ObjectId,
    ) -> Result<String, Trouble> {
        let wanted = NewTicket { opens: TicketScope::Title(title.clone()), ttl_ms: 60_000 };
        let ticket = self.control.client.issue_ticket(&wanted).await?.ticket;
        Ok(format!("{}/t/{ticket}/v/{title}/{object}.mp4", node.media_url))
    }

    /// Status of a member's GET of a whole object, with a good ticket, from this box alone: it is
    /// told that the request was sent on before, as often as it may be.
    ///
    /// # Errors
    /// When the box does not answer at all.
    pub async fn get(
        &self,
        node: &ApplianceNode,
        title: &TitleId,
        object: &ObjectId,
    ) -> Result<u16, Trouble> {
        let url = self.member_url(node, title, object).await? + SENT_ON;
        Ok(self.browser()?.get(url).send().await?.status().as_u16())
    }

    /// Body of a member's GET of a whole object, with a good ticket, from this box alone.
    ///
    /// # Errors
    /// When the answer is not 200, or breaks off.
    pub async fn body(
        &self,
        node: &ApplianceNode,
        title: &TitleId,
        object: &ObjectId,
    ) -> Result<Vec<u8>, Trouble> {
        self.body_at(&(self.member_url(node, title, object).await? + SENT_ON)).await
    }

    /// The same from whomever this box sends it on to, where it does.
    ///
    /// # Errors
    /// When the answer is not 200, or breaks off.
    pub async fn body_by_way_of(
        &self,
        node: &ApplianceNode,
        title: &TitleId,
        object: &ObjectId,
    ) -> Result<Vec<u8>, Trouble> {
        self.body_at(&self.member_url(node, title, object).await?).await
    }

    async fn body_at(&self, url: &str) -> Result<Vec<u8>, Trouble> {
        let answer = self.browser()?.get(url).send().await?.error_for_status()?;
        Ok(answer.bytes().await?.to_vec())
    }

    /// Status of a GET of `path` on a box's media port.
    ///
    /// # Errors
    /// When the box does not answer at all.
    pub async fn get_path(&self, node: &ApplianceNode, path: &str) -> Result<u16, Trouble> {
        let url = format!("{}{path}", node.media_url);
        Ok(self.browser()?.get(url).send().await?.status().as_u16())
    }

    /// The appliances that a member on loopback would be offered now, best first. Asked as the
    /// operator: a press of play would count as one of the member's streams.
    ///
    /// # Errors
    /// When control does not answer.
    pub async fn offered(&self, title: &TitleId) -> Result<Vec<String>, Trouble> {
        let member = std::net::Ipv4Addr::LOCALHOST.into();
        let answer = self.control.client.explain_steering(member, title).await?;
        let mut ranked: Vec<_> =
            answer.candidates.into_iter().filter(|candidate| candidate.rank.is_some()).collect();
        ranked.sort_by_key(|candidate| candidate.rank);
        Ok(ranked.into_iter().map(|candidate| candidate.appliance.to_string()).collect())
    }

    /// The pathway that a play's Content Steering manifest puts first now.
    ///
    /// # Errors
    /// When control does not answer or the list is empty.
    pub async fn first_pathway(&self, play: PlayId) -> Result<String, Trouble> {
        let url = format!("{}/v1/plays/{play}/steering", self.control.url());
        let answer = self.browser()?.get(url).send().await?.error_for_status()?;
        let text = answer.text().await?;
        let manifest: serde_json::Value = serde_json::from_str(&text)?;
        let first = manifest["PATHWAY-PRIORITY"][0].as_str().map(str::to_owned);
        first.ok_or_else(|| Trouble(format!("no pathway in {text}")))
    }
}
