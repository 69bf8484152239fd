//! What every request shares.

use std::sync::Arc;

use crate::api::limit::Limiter;
use crate::auth::Verifier;
use crate::config::Limits;
use crate::engine::Engine;

/// The program, as handlers see it. They see the engine and never the pool.
#[derive(Clone)]
pub struct App {
    pub engine: Engine,
    pub verifier: Arc<Verifier>,
    pub limiter: Arc<Limiter>,
    pub limits: Limits,
    /// Tasks that must be let finish: a request in the middle of a transaction.
    pub tasks: tokio_util::task::TaskTracker,
}
