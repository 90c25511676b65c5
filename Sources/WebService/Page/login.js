// Sends the token once; a cookie stands for it from then on.
const form = document.getElementById('login');
form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const problem = document.getElementById('problem');
  problem.textContent = '';
  try {
    const answer = await fetch('/login', {
      method: 'POST', headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ token: document.getElementById('token').value.trim() }),
    });
    if (answer.ok) { location.href = '/' + location.hash; return; }
    const error = await answer.json();
    problem.textContent = error.error + (error.hint ? ' (' + error.hint + ')' : '');
  } catch { problem.textContent = 'The service does not answer.'; }
});
