//! What the headers declare, with its documentation.

use std::path::Path;

use super::generate;

#[derive(Default)]
pub struct Declarations {
    pub functions: Vec<Function>,
    pub constants: Vec<Constant>,
    pub structs: Vec<Struct>,
}

pub struct Function {
    /// The header that declares it.
    pub header: &'static str,
    pub name: String,
    /// The type of its result.
    pub result: String,
    /// Types and names.
    pub parameters: Vec<String>,
    pub documentation: Vec<String>,
}

pub struct Constant {
    pub name: String,
    pub documentation: Vec<String>,
}

pub struct Struct {
    pub name: String,
    /// Its lines, as the header has them.
    pub definition: Vec<String>,
}

impl Declarations {
    /// Reads both headers.
    pub fn read(root: &Path) -> Self {
        let mut all = Self::default();
        for (header, text) in generate::generated(root) {
            all.read_header(header, &text);
        }
        all
    }

    fn read_header(&mut self, header: &'static str, text: &str) {
        let mut documentation = Vec::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if line == "/**" {
                let comment = lines.by_ref().take_while(|&line| line != " */");
                let text = |line: &str| line.strip_prefix(" * ").unwrap_or("").to_owned();
                documentation = comment.map(text).collect();
            } else if let Some(text) = line.strip_prefix("///") {
                documentation.push(text.strip_prefix(' ').unwrap_or("").to_owned());
            } else if documentation.is_empty() || line.is_empty() {
                documentation.clear();
            } else if let Some(rest) = line.strip_prefix("#define ") {
                self.constants.push(Constant {
                    name: rest.split(' ').next().unwrap().to_owned(),
                    documentation: std::mem::take(&mut documentation),
                });
            } else {
                let is_struct = line.ends_with('{');
                let is_last =
                    |line: &str| line.ends_with(';') && (!is_struct || line.starts_with('}'));
                let mut declaration = vec![line.to_owned()];
                while !is_last(declaration.last().unwrap()) {
                    declaration.push(lines.next().unwrap().to_owned());
                }
                let documentation = std::mem::take(&mut documentation);
                if is_struct {
                    let name = line.split(' ').nth(2).unwrap().to_owned();
                    self.structs.push(Struct {
                        name,
                        definition: declaration,
                    });
                } else if line.contains('(') {
                    let declaration: Vec<_> = declaration.iter().map(|line| line.trim()).collect();
                    let function = Function::parse(header, &declaration.join(" "), documentation);
                    self.functions.push(function.expect(line));
                }
            }
        }
    }

    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name == name)
    }
}

impl Function {
    fn parse(header: &'static str, declaration: &str, documentation: Vec<String>) -> Option<Self> {
        let (head, parameters) = declaration.strip_suffix(");")?.split_once('(')?;
        let name = head.rsplit([' ', '*']).next()?;
        Some(Self {
            header,
            name: name.to_owned(),
            result: head.strip_suffix(name)?.trim_end().to_owned(),
            parameters: parameters.split(", ").map(str::to_owned).collect(),
            documentation,
        })
    }
}
