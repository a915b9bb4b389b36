// Package scenario runs whole hunts and says what they must find: over
// scenarios of the project's own, which are written as text in virtual time,
// over its example, and, where they are at hand, over recordings of a real host
// that are kept outside the repository. Each can be delivered in the ways of a
// grid, on which findings must not depend.
//
// In: *.scenario files, and folders of logs. Out: findings, compared with those
// expected, and the text that a scenario file keeps of them.
package scenario
