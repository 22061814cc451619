//! What a member's device asks: account, profiles, pages, search, play.
//! Holds no session; the caller keeps the tokens and refreshes them.

use control_types::accounts::{
    Account, ChoosePlan, NewProfile, Plan, Profile, Refresh, Session, SignIn, SignUp,
};
use control_types::catalog::{HistoryItem, Home, SearchAnswer, TitlePage};
use control_types::play::{PlayAnswer, PressPlay};
use control_types::{ObjectId, ProfileId, TitleId};
use reqwest::Method;

use crate::{ClientError, ControlClient};

/// Every method fails with [`ClientError`]: unreachable, timed out, refused, or garbled.
impl ControlClient {
    /// `POST /v1/accounts`: opens an account and signs in.
    pub async fn sign_up(&self, body: &SignUp) -> Result<Session, ClientError> {
        self.call(Method::POST, "/v1/accounts", body).await
    }

    /// `POST /v1/sessions`.
    pub async fn sign_in(&self, body: &SignIn) -> Result<Session, ClientError> {
        self.call(Method::POST, "/v1/sessions", body).await
    }

    /// `POST /v1/sessions/refresh`: the given refresh token is spent, the answer holds the next.
    pub async fn refresh(&self, refresh_token: &str) -> Result<Session, ClientError> {
        let body = Refresh { refresh_token: Some(refresh_token.to_owned()) };
        self.call(Method::POST, "/v1/sessions/refresh", &body).await
    }

    /// `DELETE /v1/sessions/current`.
    pub async fn sign_out(&self) -> Result<(), ClientError> {
        self.order::<()>(Method::DELETE, "/v1/sessions/current", None).await
    }

    /// `GET /v1/account`.
    pub async fn account(&self) -> Result<Account, ClientError> {
        self.get("/v1/account").await
    }

    /// `GET /v1/plans`, public.
    pub async fn plans(&self) -> Result<Vec<Plan>, ClientError> {
        self.get("/v1/plans").await
    }

    /// `PUT /v1/account/plan`.
    pub async fn choose_plan(&self, plan: &str) -> Result<Account, ClientError> {
        let body = ChoosePlan { plan: plan.to_owned() };
        self.call(Method::PUT, "/v1/account/plan", &body).await
    }

    /// `GET /v1/profiles`.
    pub async fn profiles(&self) -> Result<Vec<Profile>, ClientError> {
        self.get("/v1/profiles").await
    }

    /// `POST /v1/profiles`.
    pub async fn add_profile(&self, body: &NewProfile) -> Result<Profile, ClientError> {
        self.call(Method::POST, "/v1/profiles", body).await
    }

    /// `DELETE /v1/profiles/{profile}`.
    pub async fn remove_profile(&self, profile: ProfileId) -> Result<(), ClientError> {
        self.order::<()>(Method::DELETE, &format!("/v1/profiles/{profile}"), None).await
    }

    /// `GET /v1/profiles/{profile}/home`.
    pub async fn home(&self, profile: ProfileId) -> Result<Home, ClientError> {
        self.get(&format!("/v1/profiles/{profile}/home")).await
    }

    /// `GET /v1/profiles/{profile}/history`, newest first.
    pub async fn history(&self, profile: ProfileId) -> Result<Vec<HistoryItem>, ClientError> {
        self.get(&format!("/v1/profiles/{profile}/history")).await
    }

    /// `GET /v1/titles/{title}?profile=`.
    pub async fn title(
        &self,
        title: &TitleId,
        profile: ProfileId,
    ) -> Result<TitlePage, ClientError> {
        let profile = profile.to_string();
        self.get_query(&format!("/v1/titles/{title}"), &[("profile", &profile)]).await
    }

    /// `GET /v1/search?q=&profile=`.
    pub async fn search(
        &self,
        query: &str,
        profile: ProfileId,
    ) -> Result<SearchAnswer, ClientError> {
        let profile = profile.to_string();
        self.get_query("/v1/search", &[("q", query), ("profile", &profile)]).await
    }

    /// `GET /v1/artwork/{object}`, public: the image's bytes.
    pub async fn artwork(&self, object: &ObjectId) -> Result<Vec<u8>, ClientError> {
        self.get_bytes(&format!("/v1/artwork/{object}"), &[]).await
    }

    /// `POST /v1/plays`: presses play.
    pub async fn press_play(&self, body: &PressPlay) -> Result<PlayAnswer, ClientError> {
        self.call(Method::POST, "/v1/plays", body).await
    }
}
