//! All routes. There is one way to add one, and it asks for a permission; a test walks the list.

use std::sync::Arc;

use axum::{
    Router,
    handler::Handler,
    http::Method,
    middleware,
    routing::{MethodFilter, on},
};
use tower_http::compression::CompressionLayer;

use crate::{auth::Permission, grpc, guard, intake, linger, mcp, models, openapi, rest, serving, state::App, ui};

/// One route, for the list.
#[derive(Clone, Debug)]
pub struct Route {
    /// HTTP method.
    pub method: Method,
    /// With `{name}` where a part varies.
    pub path: &'static str,
    /// What it needs.
    pub permission: Permission,
    /// One sentence for the API's description.
    pub summary: &'static str,
}

/// Routes being gathered.
pub struct Routes {
    app: Arc<App>,
    router: Router<Arc<App>>,
    /// What was added.
    pub listed: Vec<Route>,
}

impl Routes {
    /// Adds a route.
    pub fn add<H, T>(
        &mut self,
        method: Method,
        path: &'static str,
        permission: Permission,
        summary: &'static str,
        handler: H,
    ) where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::POST);
        let check = middleware::from_fn_with_state((self.app.clone(), permission), guard::permit);
        let router = std::mem::take(&mut self.router);
        self.router = router.route(path, on(filter, handler).route_layer(check));
        self.listed.push(Route { method, path, permission, summary });
    }

    /// Adds a route for several methods.
    pub fn add_all<H, T>(
        &mut self,
        methods: &[Method],
        path: &'static str,
        permission: Permission,
        summary: &'static str,
        handler: H,
    ) where
        H: Handler<T, Arc<App>>,
        T: 'static,
    {
        for method in methods {
            self.add(method.clone(), path, permission, summary, handler.clone());
        }
    }
}

fn gather(app: &Arc<App>) -> Routes {
    Routes { app: app.clone(), router: Router::new(), listed: Vec::new() }
}

/// Everything at `listen`.
pub fn main(app: &Arc<App>) -> Router {
    let routes = all(app);
    // The interface's files and long lists; what is small or compressed already stays as it is.
    finish(app, routes.router.fallback(ui::serve).layer(CompressionLayer::new()))
}

/// All routes at `listen`, with their list.
pub fn all(app: &Arc<App>) -> Routes {
    let mut routes = gather(app);
    rest::add(&mut routes);
    intake::add_otlp(&mut routes);
    intake::add_others(&mut routes);
    mcp::add(&mut routes);
    models::add(&mut routes);
    serving::add_http(&mut routes);
    serving::add_grpc(&mut routes);
    routes.add(Method::GET, "/api/v1/openapi.json", Permission::Public, "This description", openapi::serve);
    routes
}

/// Only OTLP over HTTP.
pub fn otlp_http(app: &Arc<App>) -> Router {
    let mut routes = gather(app);
    intake::add_otlp(&mut routes);
    finish(app, routes.router)
}

/// What comes over gRPC alone: OTLP and inference.
pub fn otlp_grpc(app: &Arc<App>) -> Router {
    let mut routes = gather(app);
    grpc::add(&mut routes);
    serving::add_grpc(&mut routes);
    finish(app, routes.router)
}

fn finish(app: &Arc<App>, router: Router<Arc<App>>) -> Router {
    router
        .layer(middleware::from_fn_with_state(app.clone(), guard::same_site))
        .layer(middleware::from_fn(linger::layer))
        .with_state(app.clone())
}
