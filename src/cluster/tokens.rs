//! Asks the API server whose token a request carries. In: a bearer token. Out: whom it names, if it is good: the API server
//! checks signature, expiry and audience, and that the pod which it is bound to still exists.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use kube::{Api, Client, api::PostParams};

use super::{ClusterError, call, rbac::Access};
use crate::api::log_source::COLLECTOR_AUDIENCE;

/// What a review needs.
pub const ACCESS: &[Access] =
    &[Access { group: "authentication.k8s.io", resources: &["tokenreviews"], verbs: &["create"] }];

/// Keys of `user.extra` that a bound token fills (k8s.io/apiserver, pkg/authentication/serviceaccount).
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";

/// Whom a good token names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    pub user: String,
    /// Of the pod that the token is bound to.
    pub pod_uid: Option<String>,
    /// The node on which that pod runs.
    pub node: Option<String>,
}

/// `None` when the token is not good for collectors' audience. An error says that nobody could be asked.
pub async fn review(client: &Client, token: &str) -> Result<Option<Holder>, ClusterError> {
    let reviews: Api<TokenReview> = Api::all(client.clone());
    let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![COLLECTOR_AUDIENCE.to_owned()]) };
    let review = TokenReview { spec, ..TokenReview::default() };
    let status = call(reviews.create(&PostParams::default(), &review)).await?.status.unwrap_or_default();
    // An authenticator that knows no audiences returns none, and may have taken any (TokenReviewSpec's documentation).
    let is_for_us = status.audiences.iter().flatten().any(|audience| audience == COLLECTOR_AUDIENCE);
    let user = status.user.filter(|_| status.authenticated == Some(true) && is_for_us);
    Ok(user.map(holder))
}

fn holder(user: UserInfo) -> Holder {
    let mut extra = user.extra.unwrap_or_default();
    // More than one value would leave open which one counts.
    let mut only = |key: &str| {
        let mut values = extra.remove(key)?.into_iter();
        values.next().filter(|_| values.next().is_none())
    };
    Holder { user: user.username.unwrap_or_default(), pod_uid: only(POD_UID), node: only(NODE_NAME) }
}
