// Package scenario runs whole hunts over recordings and says what they must
// find: the project's own example, and, where they are at hand, recordings of
// a real host that are kept outside the repository.
//
// In: folders of logs. Out: findings, compared by test.
package scenario
