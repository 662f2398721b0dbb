//! `GET /sources`: what the collector of the token's node is to read. Changes show by the `ETag`.

use std::sync::atomic::Ordering;

use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use http::{HeaderMap, StatusCode, header};
use sha2::{Digest, Sha256};

use super::{answer::Answer, desk::Desk, route::Peer};

pub(super) async fn answer(desk: &Desk, headers: &HeaderMap, peer: &Peer) -> Result<Response, Answer> {
    let authorization = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    let node = desk.collectors.admit(authorization).await.map_err(Answer::Denied)?;
    peer.is_known.store(true, Ordering::Relaxed);
    let assignment = desk.collectors.sources_of(&node)?.assignment();
    let body = serde_json::to_string(&assignment).map_err(|error| {
        tracing::error!(%error, "an assignment does not serialise");
        Answer::Internal
    })?;
    let tag = format!("\"{}\"", HEXLOWER.encode(&Sha256::digest(&body)));
    if is_known(headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let json = "application/json".to_owned();
    Ok((StatusCode::OK, [(header::ETAG, tag), (header::CONTENT_TYPE, json)], body).into_response())
}

/// RFC 9110, 13.1.2: a list of tags, weak ones compare alike.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}
