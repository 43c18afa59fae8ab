//! The imports between the files of a crate, and the circles among them.
//!
//! An import is any path that leads into the same crate: in a `use`, in an expression, in a type. A `pub use` is not
//! one: a path through it counts as an import of the file that it names. Unit tests do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};
use syn::{Item, UseTree, Visibility};

/// Path of a module from the root of its crate.
type Module = Vec<String>;

/// Which file imports which, by module.
pub(crate) struct Imports {
    files: BTreeMap<Module, PathBuf>,
    edges: BTreeMap<Module, BTreeSet<Module>>,
}

/// What one file says.
#[derive(Default)]
struct FileImports {
    /// Paths as written, relative to the file's module.
    used: Vec<Vec<String>>,
    /// Name, and the path that a `pub use` gives to it.
    reexported: BTreeMap<String, Vec<String>>,
}

impl Imports {
    /// Reads every file below the folder `root` of a crate, whose root module is `root_file`.
    pub(crate) fn read(root: &Path, root_file: &str) -> Self {
        let mut files = BTreeMap::new();
        collect_files(root, root, root_file, &mut files);
        assert!(files.len() > 1, "{} has no modules: has it moved?", root.display());
        let said: BTreeMap<_, _> =
            files.iter().map(|(module, file)| (module.clone(), FileImports::read(file))).collect();
        let mut edges = BTreeMap::new();
        for (module, imports) in &said {
            let targets = imports.used.iter().filter_map(|path| resolve(&said, module, path, 0));
            edges.insert(module.clone(), targets.filter(|target| target != module).collect());
        }
        Self { files, edges }
    }

    /// Returns every set of files that import each other in a circle, as text.
    pub(crate) fn circles(&self) -> Vec<String> {
        let reached: BTreeMap<_, _> = self.edges.keys().map(|module| (module, self.reachable(module))).collect();
        let mut circles = BTreeSet::new();
        for (module, targets) in &reached {
            let circle: BTreeSet<_> = targets.iter().filter(|other| reached[other].contains(*module)).collect();
            if !circle.is_empty() {
                let names = circle.into_iter().map(|module| self.files[module].display().to_string());
                circles.insert(names.collect::<Vec<_>>().join(" <-> "));
            }
        }
        circles.into_iter().collect()
    }

    fn reachable(&self, from: &Module) -> BTreeSet<Module> {
        let mut reached = BTreeSet::new();
        let mut left: Vec<_> = self.edges[from].iter().collect();
        while let Some(module) = left.pop() {
            if reached.insert(module.clone()) {
                left.extend(&self.edges[module]);
            }
        }
        reached
    }
}

fn collect_files(root: &Path, folder: &Path, root_file: &str, files: &mut BTreeMap<Module, PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_files(root, &path, root_file, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let inner = path.strip_prefix(root).unwrap().with_extension("");
            let mut module: Module = inner.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
            if module.last().is_some_and(|last| last == "mod") || module == [root_file] {
                module.pop();
            } else if module == ["main"] {
                // The binary is a crate of its own.
                continue;
            }
            files.insert(module, path);
        }
    }
}

/// Returns the file that a path leads to, through `pub use` where there is one; `None` outside the crate.
fn resolve(said: &BTreeMap<Module, FileImports>, from: &Module, path: &[String], depth: usize) -> Option<Module> {
    let (first, mut rest) = path.split_first()?;
    let mut module = from.clone();
    match first.as_str() {
        "crate" => module.clear(),
        "self" => {}
        "super" => {
            module.pop();
            while let Some(("super", more)) = rest.split_first().map(|(one, more)| (one.as_str(), more)) {
                module.pop();
                rest = more;
            }
        }
        name => {
            module.push(name.to_owned());
            if !said.contains_key(&module) {
                return None;
            }
        }
    }
    while let Some((name, more)) = rest.split_first() {
        module.push(name.clone());
        if !said.contains_key(&module) {
            module.pop();
            break;
        }
        rest = more;
    }
    // A circle of `pub use` would be an error of the compiler; the bound is for paths that this reading mistakes.
    let through = rest.first().and_then(|name| said[&module].reexported.get(name)).filter(|_| depth < 8);
    match through {
        Some(target) => resolve(said, &module, &[target, &rest[1..]].concat(), depth + 1),
        None => Some(module),
    }
}

impl FileImports {
    fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file).unwrap();
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut imports = Self::default();
        imports.visit_file(&parsed);
        imports
    }

    fn add_use(&mut self, tree: &UseTree, prefix: &mut Vec<String>, is_reexport: bool) {
        let (name, alias) = match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.add_use(&path.tree, prefix, is_reexport);
                prefix.pop();
                return;
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_use(tree, prefix, is_reexport);
                }
                return;
            }
            UseTree::Glob(_) => return self.used.push(prefix.clone()),
            UseTree::Name(name) => (name.ident.to_string(), name.ident.to_string()),
            UseTree::Rename(rename) => (rename.ident.to_string(), rename.rename.to_string()),
        };
        let path = if name == "self" { prefix.clone() } else { [&prefix[..], &[name]].concat() };
        if is_reexport {
            self.reexported.insert(alias, path);
        } else {
            self.used.push(path);
        }
    }
}

impl<'ast> Visit<'ast> for FileImports {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        let is_test = attributes.iter().any(|attribute| {
            attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|word| word == "test")
        });
        if !is_test {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_reexport = !matches!(item.vis, Visibility::Inherited);
        self.add_use(&item.tree, &mut Vec::new(), is_reexport);
    }

    /// `pub(in crate::x)` names a module and imports nothing.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if parts.len() > 1 {
            self.used.push(parts);
        }
        visit::visit_path(self, path);
    }
}
