"use strict";
// The operators' page: what the stream says is shown; text goes in as text, never as markup.
