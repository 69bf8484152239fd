//! What every request shares.

use std::sync::Arc;

use crate::api::limit::Limiter;
use crate::auth::Verifier;
use crate::config::Limits;
use crate::engine::Engine;
use crate::outbox::Feed;
use crate::outbox::webhook::Reach;

/// The program, as handlers see it. They see the engine and never the pool.
#[derive(Clone)]
pub struct App {
    pub engine: Engine,
    pub verifier: Arc<Verifier>,
    pub limiter: Arc<Limiter>,
    pub limits: Limits,
    /// Live streams.
    pub feed: Feed,
    /// What the URL of a webhook may point at.
    pub reach: Reach,
    /// Tasks that must be let finish: a request in the middle of a transaction.
    pub tasks: tokio_util::task::TaskTracker,
}
