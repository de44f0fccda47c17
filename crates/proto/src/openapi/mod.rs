//! Services as an OpenAPI 3.1 document: what can be called over plain HTTP, for people and for tools that know nothing of Protobuf.
//!
//! A method with `google.api.http` has the paths that it says; one without is there under its full name, as the Connect protocol calls
//! it with JSON. Comments become descriptions. The order of everything is that of names, or of the `.proto` file inside of messages, so
//! the same files always give the same text.

mod declared;
mod json;
mod operations;
mod schema;
mod yaml;

use std::collections::BTreeMap;

use self::{
    declared::Declared,
    json::{Json, Object},
    operations::Operations,
};
use crate::{File, FileDescriptorProto, Pool};

/// The version of OpenAPI that is written.
const OPENAPI: &str = "3.1.0";

/// A description of services in the words of OpenAPI.
#[derive(Clone, Debug)]
pub struct OpenApi {
    title: String,
    version: String,
    tags: Vec<Json>,
    paths: BTreeMap<String, BTreeMap<String, Json>>,
    schemas: BTreeMap<String, Json>,
}

impl Pool {
    /// These services, by full name, as OpenAPI. Names of which nothing is known are left out.
    pub fn openapi<'a>(&self, services: impl IntoIterator<Item = &'a str>) -> OpenApi {
        let services: Vec<&str> = services.into_iter().collect();
        OpenApi::of_files(self.files().iter().map(File::descriptor), &services)
    }
}

impl OpenApi {
    pub(crate) fn of_files<'a>(files: impl IntoIterator<Item = &'a FileDescriptorProto>, services: &[&str]) -> Self {
        let declared = Declared::in_files(files);
        let mut operations = Operations::new(&declared);
        let mut tags = Vec::new();
        for name in services {
            let Some(service) = declared.service(name) else { continue };
            let comment = declared.service_comment(service);
            tags.push(Object::new().with("name", *name).with_some("description", comment).into());
            operations.add(name, service);
        }
        let (title, version) = named_after(services);
        let Operations { schemas, paths, .. } = operations;
        Self { title, version, tags, paths, schemas: schemas.finish() }
    }

    /// Sets what the document is called. Default: the packages of its services.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Sets which version of the interface it describes. Default: that at the end of the packages' names, such as `v1`.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// The document as JSON.
    pub fn to_json(&self) -> String {
        self.document().to_pretty()
    }

    /// The document as YAML.
    pub fn to_yaml(&self) -> String {
        yaml::write(&self.document())
    }

    /// What a server puts together to a document, as compact JSON: `{"tags": […], "paths": {…}, "schemas": {…}}`.
    #[cfg(feature = "generate")]
    pub(crate) fn fragment(&self) -> String {
        let fragment = Object::new()
            .with("tags", self.tags.iter().cloned().collect::<Json>())
            .with("paths", self.paths_object())
            .with("schemas", object_of(&self.schemas));
        Json::from(fragment).to_compact()
    }

    fn document(&self) -> Json {
        let info = Object::new().with("title", self.title.as_str()).with("version", self.version.as_str());
        // Where the document itself comes from.
        let server: Json = [Object::new().with("url", "/")].into_iter().collect();
        let mut document = Object::new().with("openapi", OPENAPI).with("info", info).with("servers", server);
        if !self.tags.is_empty() {
            document.set("tags", self.tags.iter().cloned().collect::<Json>());
        }
        document
            .with("paths", self.paths_object())
            .with("components", Object::new().with("schemas", object_of(&self.schemas)))
            .with("security", Json::List(Vec::new()))
            .into()
    }

    fn paths_object(&self) -> Object {
        let mut paths = Object::new();
        for (path, verbs) in &self.paths {
            paths.set(path.as_str(), object_of(verbs));
        }
        paths
    }
}

/// Title and version for services of these names.
fn named_after(services: &[&str]) -> (String, String) {
    let mut packages: Vec<&str> =
        services.iter().map(|name| name.rsplit_once('.').map_or(*name, |(package, _)| package)).collect();
    packages.dedup();
    let mut versions: Vec<&str> = packages.iter().filter_map(|name| name.rsplit('.').next()).collect();
    versions.dedup();
    let is_version =
        |name: &str| name.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let version = match versions[..] {
        [only] if is_version(only) => only,
        _ => "1",
    };
    (packages.join(", "), version.to_owned())
}

fn object_of(values: &BTreeMap<String, Json>) -> Object {
    let mut object = Object::new();
    for (name, value) in values {
        object.set(name.as_str(), value.clone());
    }
    object
}
