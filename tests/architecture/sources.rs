//! Reads one source file with syn and judges every path in it by the tables beside.
//!
//! Names are not resolved as the compiler would: a path counts as it is written, and a `use` under a
//! new name where it stands.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

use super::{ARROWS, HOMES, IMPURE, PURE, READER, SECRETS, UNSAFE_HOME};

/// One line for each rule that `source`, standing in src/`file`, breaks: `src/call/leg.rs:7:
/// call may not see server`.
pub(crate) fn violations(file: &str, source: &str) -> Vec<String> {
    let parsed = syn::parse_file(source).unwrap_or_else(|error| panic!("src/{file}: {error}"));
    let module = module_of(file);
    let mut reader = SourceReader { file, room: module[0].clone(), module, broken: Vec::new() };
    reader.visit_file(&parsed);
    reader.broken
}

/// `sip/transaction/mod.rs` is `[sip, transaction]`.
fn module_of(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(str::to_owned).collect()
}

/// The files that `source`, standing in src/`file`, declares for tests alone, in both places they may stand.
pub(crate) fn for_tests_alone(file: &str, source: &str) -> Vec<String> {
    let parsed = syn::parse_file(source).unwrap_or_else(|error| panic!("src/{file}: {error}"));
    let folder = file
        .trim_end_matches("mod.rs")
        .trim_end_matches("lib.rs")
        .trim_end_matches('/')
        .trim_end_matches(".rs");
    let declared = parsed.items.iter().filter_map(|item| match item {
        Item::Mod(module) if module.content.is_none() && module.attrs.iter().any(is_for_tests) => {
            Some(&module.ident)
        }
        _ => None,
    });
    declared.flat_map(|name| [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")]).collect()
}

struct SourceReader<'a> {
    file: &'a str,
    room: String,
    /// The module that is being read; grows in inline modules.
    module: Vec<String>,
    broken: Vec<String>,
}

impl SourceReader<'_> {
    /// Judges one path as written.
    fn path(&mut self, segments: &[String], at: Span) {
        let Some(path) = self.absolute(segments) else { return };
        match path.first().map(String::as_str) {
            Some("crate") => self.inner(&path[1..], at),
            Some(_) => self.outer(&path, at),
            None => {}
        }
        if lists(PURE, &self.room) {
            self.purity(&path, at);
        }
    }

    /// Resolves `self` and `super`; `None` when the path leads nowhere.
    fn absolute(&self, segments: &[String]) -> Option<Vec<String>> {
        let ups = segments.iter().take_while(|&name| name == "super").count();
        let relative = ups > 0 || segments.first().is_some_and(|name| name == "self");
        if segments.first().is_some_and(|name| name == "trunkline") {
            return Some([&["crate".to_owned()], &segments[1..]].concat());
        }
        if !relative {
            return Some(segments.to_vec());
        }
        let base = &self.module[..self.module.len().checked_sub(ups)?];
        let rest = &segments[ups.max(1)..];
        Some([&["crate".to_owned()], base, rest].concat())
    }

    fn inner(&mut self, path: &[String], at: Span) {
        let from = self.here();
        let from_reader = from.starts_with(READER);
        let Some(to) = path.first().filter(|&name| name != "*") else {
            return self.broke(at, format!("{} names the crate root; name a room", self.room));
        };
        if *to == self.room && !from_reader {
            return;
        }
        let Some(&(_, seen)) = ARROWS.iter().find(|(room, _)| *room == self.room) else {
            return self.broke(at, format!("{} is no room of the map; add it to ARROWS", self.room));
        };
        if !ARROWS.iter().any(|(room, _)| room == to) {
            return self.broke(at, format!("{} sees {to} at the crate root, which is no room", self.room));
        }
        let permitted =
            if from_reader { *to == "config" } else { lists(seen, to) || self.may_read_config(path) };
        if !permitted {
            let from = if from_reader { READER } else { &self.room };
            self.broke(at, format!("{from} may not see {to}"));
        }
    }

    fn may_read_config(&self, path: &[String]) -> bool {
        let is_config_file = self.module.get(1).is_some_and(|name| name == "config");
        let is_secret = path.get(2).is_some_and(|name| lists(SECRETS, name));
        path.len() >= 2 && path[..2].join("::") == READER && (is_config_file || is_secret)
    }

    fn outer(&mut self, path: &[String], at: Span) {
        let Some(&(name, homes)) = HOMES.iter().find(|(name, _)| *name == path[0]) else { return };
        let here = self.here();
        if !lies_in(&here, homes) {
            self.broke(at, format!("{name} is used in {here}; its home is {}", homes.replace(' ', ", ")));
        }
    }

    fn purity(&mut self, path: &[String], at: Span) {
        let written = format!("::{}::", path.join("::"));
        let impure = IMPURE.split_whitespace().find(|name| {
            let whole = format!("::{name}::");
            if name.starts_with(char::is_uppercase) {
                written.contains(&whole)
            } else {
                written.starts_with(&whole)
            }
        });
        if let Some(name) = impure {
            self.broke(at, format!("{} is pure and names {name}", self.room));
        }
    }

    fn asynchronous(&mut self, at: Option<Span>) {
        if let (Some(at), true) = (at, lists(PURE, &self.room)) {
            self.broke(at, format!("{} is pure and has async code", self.room));
        }
    }

    fn unsafety(&mut self, at: Option<Span>) {
        let here = self.here();
        if let (Some(at), false) = (at, lies_in(&here, UNSAFE_HOME)) {
            self.broke(at, format!("{here} has unsafe code; its home is {}", UNSAFE_HOME.replace(' ', ", ")));
        }
    }

    /// The paths in a macro's tokens: names joined by `::`, each token read once.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut start = Span::call_site();
        let mut joined = false;
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if !joined {
                        self.token_path(&mut path, start);
                        start = name.span();
                    }
                    path.push(name.to_string());
                    joined = false;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => joined = true,
                TokenTree::Group(group) => {
                    self.token_path(&mut path, start);
                    joined = false;
                    self.tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.token_path(&mut path, start);
                    joined = false;
                }
            }
        }
        self.token_path(&mut path, start);
    }

    /// A single name is a variable or a field far more often than a crate.
    fn token_path(&mut self, path: &mut Vec<String>, at: Span) {
        let path = std::mem::take(path);
        if path.len() > 1 {
            self.path(&path, at);
        }
    }

    fn use_tree(&mut self, tree: &UseTree, prefix: &[String]) {
        let with = |name: String| [prefix, &[name]].concat();
        match tree {
            UseTree::Path(path) => self.use_tree(&path.tree, &with(path.ident.to_string())),
            UseTree::Group(group) => group.items.iter().for_each(|item| self.use_tree(item, prefix)),
            UseTree::Name(name) if name.ident == "self" => self.path(prefix, name.ident.span()),
            UseTree::Name(name) => self.path(&with(name.ident.to_string()), name.ident.span()),
            UseTree::Rename(name) => self.path(&with(name.ident.to_string()), name.ident.span()),
            UseTree::Glob(glob) => self.path(&with("*".to_owned()), glob.star_token.spans[0]),
        }
    }

    /// The module being read, without inline modules.
    fn here(&self) -> String {
        module_of(self.file).join("::")
    }

    fn broke(&mut self, at: Span, rule: String) {
        self.broken.push(format!("src/{}:{}: {rule}", self.file, at.start().line));
    }
}

impl<'ast> Visit<'ast> for SourceReader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !attributes(item).iter().any(is_for_tests) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let ([_, _, ..], Some(first)) = (segments.as_slice(), path.segments.first()) {
            self.path(&segments, first.ident.span());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if let Some(name) = call.path.get_ident() {
            self.path(&[name.to_string()], name.span());
        }
        self.tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        self.asynchronous(signature.asyncness.map(|word| word.span));
        self.unsafety(signature.unsafety.map(|word| word.span));
        visit::visit_signature(self, signature);
    }

    fn visit_expr_async(&mut self, block: &'ast syn::ExprAsync) {
        self.asynchronous(Some(block.async_token.span));
        visit::visit_expr_async(self, block);
    }

    fn visit_expr_closure(&mut self, closure: &'ast syn::ExprClosure) {
        self.asynchronous(closure.asyncness.map(|word| word.span));
        visit::visit_expr_closure(self, closure);
    }

    fn visit_expr_unsafe(&mut self, block: &'ast syn::ExprUnsafe) {
        self.unsafety(Some(block.unsafe_token.span));
        visit::visit_expr_unsafe(self, block);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.unsafety(item.unsafety.map(|word| word.span));
        visit::visit_item_impl(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.unsafety(item.unsafety.map(|word| word.span));
        visit::visit_item_trait(self, item);
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        if let (syn::StaticMutability::Mut(word), true) = (&item.mutability, lists(PURE, &self.room)) {
            self.broke(word.span, format!("{} is pure and has a static mut", self.room));
        }
        visit::visit_item_static(self, item);
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// `#[cfg(test)]`, alone: what is compiled into the product as well is judged.
fn is_for_tests(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute.parse_args::<syn::Path>().is_ok_and(|what| what.is_ident("test"))
}

fn lists(names: &str, wanted: &str) -> bool {
    names.split_whitespace().any(|name| name == wanted)
}

/// Whether `module` is one of `homes` or inside one.
fn lies_in(module: &str, homes: &str) -> bool {
    let inside =
        |home| module.strip_prefix(home).is_some_and(|rest: &str| rest.is_empty() || rest.starts_with("::"));
    homes.split_whitespace().any(inside)
}
