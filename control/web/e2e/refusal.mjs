// How the mock says no: a status, the word of `ErrorBody` and a sentence.

export class Refusal extends Error {
  constructor(status, error, message) {
    super(message);
    this.status = status;
    this.error = error;
  }
}
