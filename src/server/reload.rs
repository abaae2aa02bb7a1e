//! SIGHUP: the configuration is read again and takes effect for new calls, whole or not at all.

use std::sync::Arc;

use crate::config::reader::Severity;
use crate::config::{self, needs_restart};
use crate::routing::Routes;

use super::certificate::Certificate;
use super::running;
use super::signalling::Server;

impl Server {
    /// Reads the configuration again; whatever is wrong with it is logged, and the running one stays.
    pub(super) fn reload(&mut self) {
        self.bridge.world.records.reopen();
        let Some(source) = &self.source else { return };
        let loaded = match config::load(&source.file, &source.environment) {
            Ok(loaded) => loaded,
            Err(problems) => {
                for problem in problems.iter().filter(|problem| problem.severity == Severity::Mistake) {
                    tracing::error!(%problem, "reload refused");
                }
                return tracing::error!("reload refused: the running configuration stays");
            }
        };
        let fixed = needs_restart(&self.config, &loaded.config);
        if !fixed.is_empty() {
            let keys = fixed.join(", ");
            return tracing::error!(%keys, "reload refused: these keys need a restart; the running \
                                           configuration stays");
        }
        let tls = match running::tls(&loaded.config) {
            Ok(tls) => tls,
            Err(error) => {
                return tracing::error!(%error, "reload refused: the running configuration stays");
            }
        };
        let reveal = |secret: &config::reader::Secret| secret.reveal();
        match Routes::compile(&loaded.config.routing, &reveal) {
            Ok(routes) => {
                for warning in &loaded.warnings {
                    tracing::warn!("{}", warning.unmarked());
                }
                self.certificate = tls.as_ref().map(|tls| Certificate::new(tls.expires()));
                if let Some(tls) = tls {
                    self.bridge.world.transports.set_tls(tls);
                }
                self.bridge.replace_routes(Arc::new(routes));
                self.bridge.ban_by(running::ban_policy(&loaded.config));
                self.bridge.follow_admission();
                self.bridge.limit(loaded.config.server.limit());
                self.config = loaded.config;
                tracing::info!("configuration reloaded; calls in progress keep what they began with");
            }
            Err(error) => tracing::error!(%error, "reload refused: the running configuration stays"),
        }
    }
}
