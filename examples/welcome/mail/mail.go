// Package mail defines the tasks that the mail service sends and the mail node executes: both import it.
package mail

import "github.com/tasktier/tasktier/task"

// Welcome greets a new customer.
var Welcome = task.Define[Greeting]("mail.welcome", task.Source("/shop/customers"))

// A Greeting is the payload of [Welcome].
type Greeting struct {
	To   string `json:"to"`
	Name string `json:"name"`
}
