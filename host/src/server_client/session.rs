//! [`Session`]: one visit of a server.
use crate::server_client::failure::{CALL, failed, not_opened};
use crate::server_client::http::LoopbackHttp;
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, ErrorCode, Implementation,
    JsonObject, PaginatedRequestParams, Prompt, ProtocolVersion, Resource, ResourceTemplate, Tool,
};
use rmcp::service::{ClientLifecycleMode, RunningService, ServiceError, serve_client_with_lifecycle};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{Peer, RoleClient};
use std::time::Duration;
use wharf_model::{Error, ErrorKind, Result};

/// How long the first exchange may take.
const OPEN_WAIT: Duration = Duration::from_secs(30);
/// How long the farewell may take.
const CLOSE_WAIT: Duration = Duration::from_secs(2);
/// How long it may take for a user who does not wait any more: long enough for a proxy of this machine to take it.
const LEAVE_WAIT: Duration = Duration::from_millis(500);
/// More of a list are not read.
const ITEMS_MAX: usize = 10_000;
/// More pages are not read.
const PAGES_MAX: usize = 1_000;

/// Where a server is reached.
pub(crate) struct Place {
    /// The workload's name, for advice.
    pub(crate) name: String,
    /// `HOST:PORT`.
    pub(crate) authority: String,
    /// Its URL, with the secret part.
    pub(crate) url: String,
    /// The token that is sent.
    pub(crate) token: Option<String>,
}

/// A visit of a server, in whichever era it speaks through the proxy.
pub(crate) struct Session {
    running: RunningService<RoleClient, ClientConfig>,
    /// The workload's name, for advice.
    name: String,
}

impl Session {
    /// Begins a visit.
    ///
    /// # Errors
    /// Of kind [`ErrorKind::Conflict`]: the server is not running just now. Of kind [`ErrorKind::Runtime`]: nobody
    /// answers, or not in this protocol.
    pub(crate) async fn open(place: Place) -> Result<Self> {
        let client = LoopbackHttp::new(place.authority.into());
        let mut config = StreamableHttpClientTransportConfig::with_uri(place.url);
        if let Some(token) = place.token {
            config = config.auth_header(token);
        }
        let transport = StreamableHttpClientTransport::with_client(client, config);
        let me = Implementation::new("wharf", env!("CARGO_PKG_VERSION"));
        let lifecycle = ClientLifecycleMode::Auto {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
            legacy_version: None,
        };
        let service = ClientConfig::new(ClientCapabilities::default(), me);
        let opened = serve_client_with_lifecycle(service, transport, lifecycle);
        match tokio::time::timeout(OPEN_WAIT, opened).await {
            Ok(Ok(running)) => Ok(Self { running, name: place.name }),
            Ok(Err(error)) => Err(not_opened(&place.name, &error)),
            Err(_) => {
                let message = format!("it did not answer within {} s", OPEN_WAIT.as_secs());
                Err(Error::new(ErrorKind::Deadline, message))
            }
        }
    }

    /// Ends the visit: the server's session is over then.
    pub(crate) async fn close(self) {
        // The server forgets it by itself later.
        let _ = tokio::time::timeout(CLOSE_WAIT, self.running.cancel()).await;
    }

    /// The same for a user who does not wait any more.
    pub(crate) async fn leave(self) {
        let _ = tokio::time::timeout(LEAVE_WAIT, self.running.cancel()).await;
    }

    fn peer(&self) -> &Peer<RoleClient> {
        self.running.peer()
    }

    /// Tells the failure of a request.
    fn failed(&self, method: &str, error: &ServiceError) -> Error {
        failed(&self.name, method, error)
    }

    /// Its tools.
    pub(crate) async fn tools(&self) -> Result<Vec<Tool>> {
        let mut pages = Pages::default();
        while let Some(params) = pages.next() {
            let page = self.peer().list_tools(params).await;
            let page = page.map_err(|error| self.failed("tools/list", &error))?;
            pages.take(page.tools, page.next_cursor)?;
        }
        Ok(pages.items)
    }

    /// Its resources.
    pub(crate) async fn resources(&self) -> Result<Vec<Resource>> {
        let mut pages = Pages::default();
        while let Some(params) = pages.next() {
            let page = self.peer().list_resources(params).await;
            let page = page.map_err(|error| self.failed("resources/list", &error))?;
            pages.take(page.resources, page.next_cursor)?;
        }
        Ok(pages.items)
    }

    /// The templates of its resources; none where it does not know the question.
    pub(crate) async fn resource_templates(&self) -> Result<Vec<ResourceTemplate>> {
        let mut pages = Pages::default();
        while let Some(params) = pages.next() {
            match self.peer().list_resource_templates(params).await {
                Ok(page) => pages.take(page.resource_templates, page.next_cursor)?,
                Err(ServiceError::McpError(error)) if error.code == ErrorCode::METHOD_NOT_FOUND => break,
                Err(error) => return Err(self.failed("resources/templates/list", &error)),
            }
        }
        Ok(pages.items)
    }

    /// Its prompts.
    pub(crate) async fn prompts(&self) -> Result<Vec<Prompt>> {
        let mut pages = Pages::default();
        while let Some(params) = pages.next() {
            let page = self.peer().list_prompts(params).await;
            let page = page.map_err(|error| self.failed("prompts/list", &error))?;
            pages.take(page.prompts, page.next_cursor)?;
        }
        Ok(pages.items)
    }

    /// Calls a tool. Dropping the future tells the server that the call is cancelled.
    pub(crate) async fn call(&self, tool: &str, arguments: JsonObject) -> Result<CallToolResult> {
        let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        self.peer().call_tool(request).await.map_err(|error| self.failed(CALL, &error))
    }
}

/// A list that comes in pages. A server decides how many; this one decides how many are read.
struct Pages<T> {
    items: Vec<T>,
    cursor: Option<Option<String>>,
    read: usize,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self { items: Vec::new(), cursor: Some(None), read: 0 }
    }
}

impl<T> Pages<T> {
    fn next(&mut self) -> Option<Option<PaginatedRequestParams>> {
        let cursor = self.cursor.take()?;
        Some(cursor.map(|cursor| PaginatedRequestParams::default().with_cursor(Some(cursor))))
    }

    fn take(&mut self, items: Vec<T>, next: Option<String>) -> Result<()> {
        self.items.extend(items);
        self.read += 1;
        self.cursor = next.map(Some);
        if self.items.len() > ITEMS_MAX || self.read > PAGES_MAX {
            return Err(Error::new(ErrorKind::Runtime, "its list has no end"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_without_end_is_given_up() {
        let mut pages: Pages<u8> = Pages::default();
        assert!(pages.next().is_some());
        for _ in 0..PAGES_MAX {
            pages.take(vec![1], Some("more".to_owned())).unwrap();
            assert!(pages.next().is_some());
        }
        assert!(pages.take(vec![1], Some("more".to_owned())).is_err());
        let mut pages: Pages<u8> = Pages::default();
        assert!(pages.take(vec![0; ITEMS_MAX + 1], None).is_err());
    }
}
