//! The three listeners: HTTP/1 and HTTP/2 without TLS, bounded in header time, headers and connections.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context as Task, Poll},
    time::Duration,
};

use anyhow::{Context, Result};
use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
    time::Sleep,
};

use crate::{
    routes,
    state::{App, Stop},
};

/// At most so many connections a listener; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 4096;
/// A request's head must be there within this.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The running listeners.
pub struct Listeners {
    /// Where the interface and the API are.
    pub listen: SocketAddr,
    /// Where OTLP over gRPC is.
    pub otlp_grpc: SocketAddr,
    /// Where OTLP over HTTP is.
    pub otlp_http: SocketAddr,
    stop: Stop,
    tasks: Vec<JoinHandle<()>>,
}

impl Listeners {
    /// Binds all three and begins to serve.
    pub async fn bind(app: &Arc<App>) -> Result<Listeners> {
        let main = listener(app.config.listen, "--listen").await?;
        let grpc = listener(app.config.otlp_grpc, "--otlp-grpc").await?;
        let http = listener(app.config.otlp_http, "--otlp-http").await?;
        let (listen, otlp_grpc, otlp_http) = (main.local_addr()?, grpc.local_addr()?, http.local_addr()?);
        let _ = app.addresses.set((listen, otlp_grpc, otlp_http));
        let stop = Stop::default();
        let tasks = vec![
            tokio::spawn(serve(main, routes::main(app), stop.clone())),
            tokio::spawn(serve(grpc, routes::otlp_grpc(app), stop.clone())),
            tokio::spawn(serve(http, routes::otlp_http(app), stop.clone())),
        ];
        Ok(Listeners { listen, otlp_grpc, otlp_http, stop, tasks })
    }

    /// Takes no more connections and gives requests in the works `grace` to end.
    pub async fn stop(self, grace: Duration) {
        self.stop.cancel();
        let all = async {
            for task in self.tasks {
                let _ = task.await;
            }
        };
        let _ = tokio::time::timeout(grace, all).await;
    }
}

async fn listener(address: SocketAddr, flag: &str) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: name another address with {flag}, port 0 takes any"))
}

async fn serve(listener: TcpListener, router: Router, stop: Stop) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { break };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: wait for some to come back.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = stop.wait() => break,
        };
        let _ = stream.set_nodelay(true);
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(64 << 10);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(30))
            .max_concurrent_streams(256)
            .max_header_list_size(64 << 10)
            .max_pending_accept_reset_streams(32);
        let service = TowerToHyperService::new(router.clone());
        let connection = builder.serve_connection(TokioIo::new(Opening::new(stream)), service).into_owned();
        let watched = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = watched.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(place);
        });
    }
    graceful.shutdown().await;
}

/// A connection that must show within [`HEAD_TIMEOUT`] which protocol it speaks. Telling HTTP/1 from HTTP/2 takes up to
/// 24 bytes, and the timeouts of both begin only after that.
struct Opening {
    stream: TcpStream,
    read: usize,
    deadline: Option<Pin<Box<Sleep>>>,
}

/// Length of the preface of HTTP/2, and the start that no request of HTTP/1 shares.
const PREFACE: usize = 24;

impl Opening {
    fn new(stream: TcpStream) -> Opening {
        Opening { stream, read: 0, deadline: Some(Box::pin(tokio::time::sleep(HEAD_TIMEOUT))) }
    }
}

impl AsyncRead for Opening {
    fn poll_read(mut self: Pin<&mut Self>, task: &mut Task<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Poll::Ready(result) = Pin::new(&mut self.stream).poll_read(task, buffer) {
            let new = buffer.filled().get(before..).unwrap_or_default();
            self.read += new.len();
            if self.read >= PREFACE || new.first().is_some_and(|byte| *byte != b'P') {
                self.deadline = None;
            }
            return Poll::Ready(result);
        }
        let late = self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(task).is_ready());
        if late { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { Poll::Pending }
    }
}

impl AsyncWrite for Opening {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Task<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(task, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(task)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(task, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
