//! Expressions of every type over given variables, well-typed most of the time, from a seed: the same seed gives the same
//! expression.

mod calls;
pub mod dice;
mod leaves;
mod macros;
mod pools;
pub mod types;

use dice::Dice;
use types::{Signature, Type, any, named};

pub struct Generator<'g> {
    dice: Dice,
    functions: &'g [Signature],
    /// Variables with their types.
    variables: &'g [(String, Type)],
    locals: Vec<(String, Type)>,
    loops: usize,
    /// Of a hundred parts, how many are of a type that nobody asked for.
    odd: usize,
    /// All parts of the expression that stand for themselves: where two implementations differ, the shortest part on
    /// which they do says why.
    parts: Vec<String>,
}

/// An expression, and the parts that it was made of.
pub struct Generated {
    pub expression: String,
    pub parts: Vec<String>,
}

/// The expression of a seed.
pub fn generate(seed: u64, functions: &[Signature], variables: &[(String, Type)]) -> Generated {
    let mut dice = Dice::new(seed);
    let odd = dice.pick(&[0, 0, 2, 2, 10]);
    let type_ = any(&mut dice, 2);
    let depth = 1 + dice.below(4);
    let mut generator = Generator { dice, functions, variables, locals: vec![], loops: 0, odd, parts: vec![] };
    let expression = generator.expression(&type_, depth);
    Generated { expression, parts: generator.parts }
}

impl Generator<'_> {
    /// An expression of a type.
    fn expression(&mut self, type_: &Type, depth: usize) -> String {
        let made = self.made(type_, depth);
        self.parts.push(made.clone());
        made
    }

    fn made(&mut self, type_: &Type, depth: usize) -> String {
        let odd;
        let type_ = if self.dice.percent(self.odd) {
            odd = any(&mut self.dice, 1);
            &odd
        } else {
            type_
        };
        if depth == 0 || self.dice.percent(15) {
            return self.leaf(type_, depth);
        }
        match self.dice.below(20) {
            0 => format!("dyn({})", self.expression(type_, depth - 1)),
            1 => {
                let condition = self.expression(&named("bool"), depth - 1);
                format!("({condition} ? {} : {})", self.expression(type_, depth - 1), self.expression(type_, depth - 1))
            }
            2 => self.indexed(type_, depth - 1),
            3 => self.out_of_optional(type_, depth - 1),
            4 => self.bind(type_, depth - 1),
            5..=8 => self.operator(type_, depth - 1),
            9..=11 => self.comprehension(type_, depth - 1),
            _ => self.call(type_, depth - 1),
        }
    }
}
